"""What a host's config gains in a power model, and what they are checked against."""

from dataclasses import dataclass, fields
from typing import Any

from powerbert.base.errors import ConfigError
from powerbert.elimination import validate_retention_configuration, validate_selection


def num_encoders(config: Any) -> int:
    """Number of encoders that run, L.

    Args:
        config: A host's or a power model's. An encoder of ALBERT may have several inner ones.
    """
    inner: int = getattr(config, "inner_group_num", 1)
    return config.num_hidden_layers * inner


def longest_input(config: Any) -> int:
    """Word pieces that the model has positions for.

    Args:
        config: A host's or a power model's. RoBERTa's positions begin after its padding index.
    """
    unused = config.pad_token_id + 1 if config.model_type.endswith("roberta") else 0
    return config.max_position_embeddings - unused


@dataclass(kw_only=True, repr=False, eq=False)
class PowerFields:
    """What a host model's config gains; mixed into one config class for each backbone.

    With none of ``retention_configuration``, ``soft_extract_length`` and ``encoder_heads`` the model is its
    host.

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
        selection: How the retained word-vectors are chosen: "attn" by significance, "head" the first ones,
            "rand" those at fixed random positions.
        selection_order: All positions in the order in which "rand" retains them; None for the others.
        encoder_heads: Number of attention heads of each encoder, where heads have been removed; None where
            all encoders have ``num_attention_heads``.
    """

    retention_configuration: list[int] | None = None
    soft_extract_length: int | None = None
    significance_diagonal: bool = True
    significance_pad_queries: bool = False
    soft_extract_protects_cls: bool = True
    selection: str = "attn"
    selection_order: list[int] | None = None
    encoder_heads: list[int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the host's; without ``auto_map``, unless this class is the code that ``auto_map`` names."""
        fields = super().to_dict()  # type: ignore[misc]
        if self._auto_class is None:  # type: ignore[attr-defined]
            fields.pop("auto_map", None)
        return fields

    def validate_power_fields(self) -> None:
        """Check the fields against each other and against the host's; run on construction and on saving.

        Raises:
            ConfigError: If a field cannot be meant.
        """
        if self.retention_configuration is not None and self.soft_extract_length is not None:
            raise ConfigError(
                "retention_configuration and soft_extract_length exclude one another: a model eliminates "
                "word-vectors, or it searches how many to eliminate"
            )
        validate_selection(self.selection, self.selection_order, self.soft_extract_length is not None)
        max_length = longest_input(self)
        if self.retention_configuration is not None:
            validate_retention_configuration(self.retention_configuration, num_encoders(self), max_length)
        if self.soft_extract_length is not None and not 1 <= self.soft_extract_length <= max_length:
            raise ConfigError(
                f"soft_extract_length must lie between 1 and the model's {max_length} positions, "
                f"not {self.soft_extract_length}"
            )
        validate_encoder_heads(self)
        if getattr(self, "is_decoder", False):
            raise ConfigError("is_decoder must be False: word-vectors are eliminated from encoders only")


def validate_encoder_heads(config: Any) -> None:
    """Check the numbers of heads that have been left to the encoders, if heads have been removed.

    Args:
        config: A power model's.

    Raises:
        ConfigError: Unless there is one number for each encoder, from 1 to ``num_attention_heads``.
    """
    encoder_heads, encoders, heads = config.encoder_heads, num_encoders(config), config.num_attention_heads
    if encoder_heads is None:
        return
    if len(encoder_heads) != encoders or not all(1 <= left <= heads for left in encoder_heads):
        raise ConfigError(
            f"encoder_heads must hold {encoders} numbers, one for each encoder, from 1 to {heads}, "
            f"not {encoder_heads}"
        )


POWER_FIELDS = tuple(field.name for field in fields(PowerFields))
