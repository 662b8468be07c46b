"""The elimination fields of a model's config, and the configs that carry them."""

from dataclasses import dataclass, fields

from huggingface_hub.dataclasses import strict
from transformers import BertConfig

from powerbert.elimination import validate_retention_configuration
from powerbert.errors import ConfigError


@dataclass(kw_only=True, repr=False, eq=False)
class EliminationFields:
    """What a host model's config gains; mixed into one config class for each backbone.

    With neither ``retention_configuration`` nor ``soft_extract_length`` the model is its host.

    Attributes:
        retention_configuration: Number of word-vectors that each encoder retains (extract layers),
            non-increasing.
        soft_extract_length: Number of retention parameters of each encoder, the longest input of the
            configuration search (soft-extract layers).
        significance_diagonal: Whether a word's attention to itself counts towards its significance.
        significance_pad_queries: Whether the attention paid by padding counts. The result for an input then
            depends on how far its batch is padded.
        soft_extract_protects_cls: Whether [CLS] takes the first ordered position in soft-extract; it always
            does in extract.
    """

    retention_configuration: list[int] | None = None
    soft_extract_length: int | None = None
    significance_diagonal: bool = True
    significance_pad_queries: bool = False
    soft_extract_protects_cls: bool = True

    def validate_elimination(self) -> None:
        """Check the fields against each other and against the host's; run on construction and on saving.

        Raises:
            ConfigError: If a field cannot be meant.
        """
        if self.retention_configuration is not None and self.soft_extract_length is not None:
            raise ConfigError(
                "retention_configuration and soft_extract_length exclude one another: a model eliminates "
                "word-vectors, or it searches how many to eliminate"
            )
        max_length = self.max_position_embeddings  # type: ignore[attr-defined]
        if self.retention_configuration is not None:
            num_encoders = self.num_hidden_layers  # type: ignore[attr-defined]
            validate_retention_configuration(self.retention_configuration, num_encoders, max_length)
        if self.soft_extract_length is not None and not 1 <= self.soft_extract_length <= max_length:
            raise ConfigError(
                f"soft_extract_length must lie between 1 and the model's {max_length} positions, "
                f"not {self.soft_extract_length}"
            )
        if getattr(self, "is_decoder", False):
            raise ConfigError("is_decoder must be False: word-vectors are eliminated from encoders only")


ELIMINATION_FIELDS = tuple(field.name for field in fields(EliminationFields))


@strict
class PowerBertConfig(EliminationFields, BertConfig):
    """``BertConfig`` with the elimination fields."""

    model_type = "power_bert"
