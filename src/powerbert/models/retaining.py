"""What each encoder of a power model does with a batch: which word-vectors it passes on, and how.

Shapes: B inputs, N word-vectors that an encoder is given, K that it retains, D hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import guard_or_false

from powerbert.elimination.configuration import retained_by_share
from powerbert.elimination.extract import extract_mask
from powerbert.elimination.significance import blockwise_significance, cls_significance
from powerbert.elimination.threshold import mean_attention
from powerbert.models.encoder import (
    HostEncoder,
    Score,
    encode,
    encode_and_extract,
    encode_and_soft_extract,
    encode_and_soft_threshold,
    encode_and_threshold,
    position_of_cls,
)


class Given(NamedTuple):
    """The word-vectors that an encoder is given.

    Attributes:
        hidden: [B, N, D].
        mask: True where one is real, [B, N]; None if all are.
        places: Their positions in the model's input, [B, N]; None if nothing depends on them.
        protected: Those that are retained before others, [B, N]; None for [CLS] alone.
    """

    hidden: Tensor
    mask: Tensor | None
    places: Tensor | None
    protected: Tensor | None


class Passed(NamedTuple):
    """The word-vectors that an encoder passes on.

    Attributes:
        hidden: [B, K, D].
        mask: True where one is real, [B, K]; None if all are.
        selected: Their positions among those that it was given, [B, K]; None if it retains all.
    """

    hidden: Tensor
    mask: Tensor | None
    selected: Tensor | None = None


Layer = Callable[[int, HostEncoder, Given], Passed]
"""Runs an encoder, from 0, on what it is given."""


@dataclass(frozen=True)
class Retaining:
    """How the encoders of a power base model treat one batch.

    Attributes:
        model: Says what it retains by its config, and has the soft layers.
        schedule: That of ``StaticSelection``; None without static selection.
        lengths: Real words of each input, [B], where shares, bins or thresholds refer to them; None if all
            are real.
        longest: Real words of the longest input, or more.
    """

    model: Any
    schedule: list[tuple[Tensor, Tensor] | None] | None
    lengths: Tensor | None
    longest: int

    @classmethod
    def of_batch(cls, model: Any, words: Tensor, mask: Tensor | None) -> "Retaining":
        """Determine once what all encoders need to know of a batch: its words, and its mask, both [B, N]."""
        config, schedule = model.config, None
        if config.retention_thresholds is not None:
            return cls(model, None, words.sum(dim=1), words.shape[1])
        if model.static_selection is not None and config.retention_configuration is not None:
            schedule = model.static_selection.schedule(words, config.retention_configuration)
        relative = config.retention_shares is not None or config.soft_extract_bins is not None
        if not relative or mask is None:
            return cls(model, schedule, None, words.shape[1])
        lengths, longest = mask.sum(dim=1), words.shape[1]
        if lengths.device.type == "cpu" and not torch.compiler.is_compiling():
            # Elsewhere the batch's width serves: reading the value would make the processor wait.
            longest = max(1, int(lengths.max()))
        return cls(model, schedule, lengths, longest)

    def run(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Run one encoder, from 0."""
        model, config = self.model, self.model.config
        protects_cls = model.soft_extract is None or config.soft_extract_protects_cls
        if config.cls_alone and protects_cls and encoder == len(config.running_encoders()) - 1:
            return self.cls_alone(encoder, host, given)
        if encoder not in config.eliminating_encoders():
            return retain_all(encoder, host, given)
        return self.layer()(encoder, host, given)

    def layer(self) -> Layer:
        """Return what runs an encoder that eliminates."""
        if self.model.soft_extract is not None:
            return self.soft_extract
        if self.model.soft_threshold is not None:
            return self.soft_threshold
        if self.model.config.retention_thresholds is not None:
            return self.threshold
        return self.extract if self.schedule is None else self.scheduled

    def cls_alone(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Retain [CLS] alone, without a score; in a search its retention parameter counts."""
        hidden, mask, places, _ = given
        first, scale = position_of_cls(hidden, mask), None
        if (soft := self.model.soft_extract) is not None:
            ranks = torch.zeros_like(first)
            scale = partial(soft.scale, encoder=encoder, words=self.lengths, ranks=ranks)
        output = encode(host, hidden, mask, first, scale, places)
        return Passed(output, None if mask is None else extract_mask(mask, first), first)

    def soft_extract(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Multiply all word-vectors by their retention parameters."""
        scale = partial(self.model.soft_extract.scale, encoder=encoder, words=self.lengths)
        protect_cls = self.model.config.soft_extract_protects_cls
        hidden, mask, _, protected = given
        score = significance_of(self.model.config)
        output = encode_and_soft_extract(host, hidden, mask, scale, score, protect_cls, protected)
        return Passed(output, mask)

    def soft_threshold(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Multiply all word-vectors by their soft mask."""
        hidden, mask, *_ = given
        words = torch.ones_like(hidden[..., 0], dtype=torch.bool) if mask is None else mask
        soft_mask = partial(self.model.soft_threshold, encoder=encoder)
        return Passed(encode_and_soft_threshold(host, hidden, words, soft_mask), mask)

    def threshold(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Retain the words above the encoder's threshold."""
        assert self.lengths is not None
        score = partial(mean_attention, words=self.lengths)
        threshold = self.model.config.retention_thresholds[encoder]
        return Passed(*encode_and_threshold(host, given.hidden, given.mask, threshold, score, given.places))

    def scheduled(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Retain the words that static selection chose before."""
        assert self.schedule is not None
        positions, mask = self.schedule[encoder] or (None, given.mask)
        return Passed(encode(host, given.hidden, given.mask, positions, places=given.places), mask, positions)

    def extract(self, encoder: int, host: HostEncoder, given: Given) -> Passed:
        """Retain the most significant words, as many as the encoder's count or share says."""
        (hidden, mask, places, protected), length = given, given.hidden.shape[1]
        k, own = self.limit(encoder)
        if isinstance(k, int) and k == 1 < length:
            return self.cls_alone(encoder, host, given)
        # An exported graph serves every length: there it extracts, unless no input is longer than k.
        if k is None or (own is None and guard_or_false(k >= length)):
            return retain_all(encoder, host, given)
        k, score = torch.sym_min(k, length), significance_of(self.model.config)
        return Passed(*encode_and_extract(host, hidden, mask, k, score, own, places, protected))

    def limit(self, encoder: int) -> tuple[int | None, Tensor | None]:
        """Return how many word-vectors an encoder retains, at most, and of each input, [B].

        None stands for all, and for as many of each input.
        """
        counts, shares = self.model.config.retention_configuration, self.model.config.retention_shares
        if counts is not None:
            return counts[encoder], None
        if shares is None or shares[encoder] == (shares[encoder - 1] if encoder else 1.0):
            return None, None
        if shares[encoder] == 0:
            return 1, None
        most = retained_by_share(shares[encoder], self.longest)
        if self.lengths is None:
            return most, None
        if torch.compiler.is_compiling():  # one graph must serve all lengths; it would not serve a width of 1
            most = torch.sym_max(2, most)
        return most, retained_by_share(shares[encoder], self.lengths)


def retain_all(_: int, host: HostEncoder, given: Given) -> Passed:
    """Run an encoder that eliminates nothing."""
    return Passed(encode(host, given.hidden, given.mask, places=given.places), given.mask)


def significance_of(config: Any) -> Score:
    """Return the function that computes significance as a config says."""
    if config.significance == "cls":
        return cls_significance
    return partial(
        blockwise_significance,
        include_diagonal=config.significance_diagonal,
        pad_queries=config.significance_pad_queries,
    )
