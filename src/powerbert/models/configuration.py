"""The config fields of a power model."""

from dataclasses import dataclass, fields
from typing import Any

from powerbert.base.checks import check_choice, check_number, check_whole
from powerbert.base.errors import ConfigError
from powerbert.elimination.configuration import (
    validate_retention_configuration,
    validate_retention_shares,
)
from powerbert.elimination.names import SIGNIFICANCES
from powerbert.elimination.selection import validate_selection
from powerbert.elimination.threshold import validate_retention_thresholds

EXCLUSIVE = (
    "retention_configuration",
    "retention_shares",
    "retention_thresholds",
    "soft_extract_length",
    "soft_extract_bins",
    "soft_threshold_temperature",
)
"""The fields of which a model has at most one."""


@dataclass(kw_only=True, repr=False, eq=False)
class PowerFields:
    """The fields that a power model's config adds to its host's; a mixin for config classes.

    With none of ``EXCLUSIVE``, ``cls_alone`` and ``encoder_heads`` the model equals its host.

    Attributes:
        retention_configuration: Number of word-vectors that each encoder retains, non-increasing.
        retention_shares: Share of an input's real words that each encoder retains, non-increasing: of n words
            ``max(1, ceil(share * n))``; 0 is [CLS] alone.
        retention_thresholds: Least attention, averaged over heads and words, of a word that each encoder
            retains; the significance fields do not concern it.
        soft_extract_length: Number of retention parameters of each encoder of a search, its longest input.
        soft_extract_bins: Number of retention parameters of each encoder of a search for shares: bins of the
            ordered position relative to the number of real words.
        soft_threshold_temperature: Temperature of the soft mask of a search for thresholds.
        cls_alone: Whether the last encoder computes the word-vector of [CLS] alone. The classifier reads no
            other, so the logits stay.
        significance: Which attention counts: "received" by a word from all words, or from [CLS] alone, "cls".
            The next two fields concern "received".
        significance_diagonal: Whether a word's attention to itself counts towards its significance.
        significance_pad_queries: Whether the attention paid by padding counts. The result for an input then
            depends on how far its batch is padded.
        protected_until: Id of the word piece that ends a pair's first text, as [SEP]; its words are retained
            before all others but [CLS], the most significant first. None protects [CLS] alone.
        soft_extract_protects_cls: Whether [CLS] takes the first ordered position in soft-extract; it always
            does in extract.
        selection: How the retained word-vectors are chosen: "attn" by significance, "head" the first ones,
            "rand" those at fixed random positions.
        selection_order: All positions in the order in which "rand" retains them; None for the others.
        active_encoders: The encoders that run, increasing, from 0; None for all. Lists with an entry for each
            encoder have one for each of these.
        speeds: What a model that was trained for several speeds can be set to: entries with ``speed`` (the
            expected speed-up), ``encoders`` and ``shares``, of a model of several labels also
            ``label_thresholds``, by increasing speed.
        encoder_heads: Number of attention heads of each encoder of a pruned model; None where all encoders
            have ``num_attention_heads``.
        kept_heads: Which of the host's heads these are, from 0, in models whose attention has something of
            its own for each of them; else None.
    """

    retention_configuration: list[int] | None = None
    retention_shares: list[float] | None = None
    retention_thresholds: list[float] | None = None
    soft_extract_length: int | None = None
    soft_extract_bins: int | None = None
    soft_threshold_temperature: float | None = None
    cls_alone: bool = False
    significance: str = "received"
    significance_diagonal: bool = True
    significance_pad_queries: bool = False
    soft_extract_protects_cls: bool = True
    protected_until: int | None = None
    selection: str = "attn"
    selection_order: list[int] | None = None
    active_encoders: list[int] | None = None
    speeds: list[dict[str, Any]] | None = None
    encoder_heads: list[int] | None = None
    kept_heads: list[list[int]] | None = None

    # A backbone overrides these three where it must; they are also called with the host's config as self.

    def num_encoders(self: Any) -> int:
        """Return the number of encoders that run, L."""
        return self.num_hidden_layers

    def longest_input(self: Any) -> int:
        """Return the number of word pieces that the model has positions for."""
        return self.max_position_embeddings

    def able_encoders(self: Any) -> list[int] | None:
        """Return the encoders that can eliminate, from 0; None for all."""
        return None

    def running_encoders(self: Any) -> list[int]:
        """Return the encoders that run, from 0."""
        return list(range(self.num_encoders())) if self.active_encoders is None else self.active_encoders

    def eliminating_encoders(self: Any) -> list[int]:
        """Return which of the running encoders can eliminate, from 0; others retain what they are given."""
        able = self.able_encoders()
        running = enumerate(self.running_encoders())
        return [own for own, encoder in running if able is None or encoder in able]

    @property
    def eliminates(self: Any) -> bool:
        """Whether encoders retain less, in a search too, are left out, or the last computes [CLS] alone."""
        less = any(getattr(self, name) is not None for name in EXCLUSIVE)
        return less or self.cls_alone or self.active_encoders is not None

    @property
    def searches(self) -> bool:
        """Whether there are soft-extract layers or soft thresholds."""
        soft = (self.soft_extract_length, self.soft_extract_bins, self.soft_threshold_temperature)
        return any(field is not None for field in soft)

    def to_dict(self) -> dict[str, Any]:
        """As the host's; without ``auto_map``, unless this class is the code that ``auto_map`` names."""
        values = super().to_dict()  # type: ignore[misc]
        if self._auto_class is None:  # type: ignore[attr-defined]
            values.pop("auto_map", None)
        return values

    def _check_where(self: Any, field: str, values: list[Any]) -> None:
        """Raise ConfigError if an encoder that cannot eliminate would; the last may retain [CLS] alone."""
        can, last = self.eliminating_encoders(), len(values) - 1
        for encoder in sorted({*range(1, len(values))} - {*can}):
            alone = encoder == last and values[encoder] in (0, 1)
            if values[encoder] != values[encoder - 1] and not alone:
                raise ConfigError(
                    f"{field}, encoder {encoder + 1}: {values[encoder]} must be {values[encoder - 1]}, as "
                    f"before it; here encoders {', '.join(str(own + 1) for own in can)} can eliminate"
                )

    def validate_power_fields(self: Any) -> None:
        """Check the fields against each other and the host's; runs on construction and on saving.

        Raises:
            ConfigError: If a field is invalid; the message names it.
        """
        encoders, longest = self.num_encoders(), self.longest_input()
        active = self.running_encoders()
        if not active or active != sorted(set(active) & set(range(encoders))):
            raise ConfigError(f"active_encoders: {active} must be increasing, of 0 to {encoders - 1}")
        running = len(active)
        given = [name for name in EXCLUSIVE if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"{' and '.join(given)} exclude one another: a model eliminates word-vectors, or it searches "
                "how many to eliminate"
            )
        check_choice("significance", self.significance, SIGNIFICANCES)
        validate_selection(self.selection, self.selection_order, self.searches)
        ranked = self.retention_thresholds is None and self.soft_threshold_temperature is None
        if self.protected_until is not None and (not ranked or self.selection != "attn"):
            raise ConfigError("protected_until: needs word-vectors that are ranked by significance")
        if self.retention_shares is not None:
            validate_retention_shares(self.retention_shares, running)
        if self.retention_thresholds is not None:
            validate_retention_thresholds(self.retention_thresholds, running)
        for field in ("retention_configuration", "retention_shares"):
            self._check_where(field, getattr(self, field) or [])
        for name in ("shares", "thresholds"):
            if self.selection != "attn" and getattr(self, f"retention_{name}") is not None:
                raise ConfigError(
                    f"selection: '{self.selection}' needs a retention_configuration, not {name}"
                )
        if self.soft_threshold_temperature is not None:
            check_number("soft_threshold_temperature", self.soft_threshold_temperature, strict=True)
        if self.retention_configuration is not None:
            validate_retention_configuration(self.retention_configuration, running, longest)
        check_whole("soft_extract_bins", self.soft_extract_bins, optional=True)
        check_whole("soft_extract_length", self.soft_extract_length, 1, longest, optional=True)
        left, heads = self.encoder_heads, self.num_attention_heads
        if left is not None and not (len(left) == encoders and all(1 <= number <= heads for number in left)):
            raise ConfigError(f"encoder_heads: {left} must hold {encoders} numbers from 1 to {heads}")
        check_position_embedding_type(self)
        if getattr(self, "is_decoder", False):
            raise ConfigError("is_decoder must be False: word-vectors are eliminated from encoders only")


def check_position_embedding_type(config: Any) -> None:
    """Raise ConfigError if a host or power model was trained with positions that transformers ignores."""
    kind = getattr(config, "position_embedding_type", "absolute")
    if kind != "absolute" and "position_embedding_type" not in {field.name for field in fields(config)}:
        raise ConfigError(
            f"position_embedding_type: '{kind}' is ignored by transformers 5, which would compute another "
            "model than was trained; choose a checkpoint with 'absolute'"
        )


POWER_FIELDS = tuple(field.name for field in fields(PowerFields))


def retention_of(config: Any) -> dict[str, Any]:
    """Return what the config of a host or power model says of its retention, as records hold it."""
    lists = {name: getattr(config, name, None) for name in ("retention_shares", "retention_thresholds")}
    return {
        "retention_configuration": getattr(config, "retention_configuration", None),
        **{name: values for name, values in lists.items() if values is not None},
        **({"cls_alone": True} if getattr(config, "cls_alone", False) else {}),
    }


class PositionsAfterPadding:
    """A mixin for configs of hosts whose positions begin after the padding index, as RoBERTa's."""

    def longest_input(self: Any) -> int:
        """Return the positions after the padding index."""
        return self.max_position_embeddings - (self.pad_token_id + 1)
