"""Retention configurations: how many word-vectors each encoder retains (section 2.2), or which share."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from powerbert.base.checks import check_choice, check_number, check_whole
from powerbert.base.errors import ConfigError

TOLERANCE = 1e-4
"""A mass this close to a whole number counts as that number: 64 parameters of 1 may sum to 64.000004."""

SHARE_STEPS = 10_000
"""Shares count in steps of 1/10000, so that the number of retained word-vectors is exact on every device."""


def retained_by_share(share: float, words: Any) -> Any:
    """Return ``max(1, ceil(share * words))``: what an input of so many real words retains, at least [CLS].

    Numbers of words may be a tensor of any shape, or a symbolic size of a graph that is exported.
    """
    return retained_of_steps(round(share * SHARE_STEPS), words)


def retained_of_steps(steps: Any, words: Any) -> Any:
    """Return what `retained_by_share` does for a share in steps of 1/10000, which may be a tensor too."""
    retained = (words * steps + SHARE_STEPS - 1) // SHARE_STEPS
    return retained.clamp_min(1) if isinstance(retained, Tensor) else torch.sym_max(1, retained)


def retained_by_encoder(fields: Mapping[str, Any], num_encoders: int, length: int) -> list[int]:
    """Return how many word-vectors of an input of some length each encoder retains.

    Args:
        fields: may hold `retention_configuration`, `retention_shares` and `cls_alone`, as configs of power
            models and records do.
    """
    counts, shares = fields.get("retention_configuration"), fields.get("retention_shares")
    if shares is not None:
        counts = [retained_by_share(share, length) for share in shares]
    retained = [length] * num_encoders if counts is None else [min(count, length) for count in counts]
    return [*retained[:-1], 1] if fields.get("cls_alone") else retained


def derive_retention_configuration(mass: Sequence[float] | Tensor, rounding: str = "ceil") -> list[int]:
    """Turn the learnt mass of each encoder, [L], into a retention configuration (section 2.2).

    ``l_j`` is the rounded mass of encoder j, then ``min(l_j, l_{j-1})``, and at least 1 for [CLS]. The paper
    rounds with "ceil", its released code with "floor".

    Raises:
        ConfigError: If ``rounding`` is neither, or a mass is not a finite number.
    """
    check_choice("rounding", rounding, ("ceil", "floor"))
    rounded = []
    for encoder, value in enumerate(mass.tolist() if isinstance(mass, Tensor) else mass, start=1):
        if not math.isfinite(value):
            raise ConfigError(
                f"retention_configuration: the mass of encoder {encoder} is {value}, so the search diverged; "
                "lower learning_rate or retention_learning_rate"
            )
        rounded.append(math.ceil(value - TOLERANCE) if rounding == "ceil" else math.floor(value + TOLERANCE))
    return [max(1, smallest) for smallest in accumulate(rounded, min)]


def derive_retention_shares(shares: Sequence[float] | Tensor) -> list[float]:
    """Turn the learnt share of each encoder, [L], into non-increasing shares in steps of 1/10000.

    Raises:
        ConfigError: If a share is not a finite number.
    """
    values = shares.tolist() if isinstance(shares, Tensor) else list(shares)
    for encoder, value in enumerate(values, start=1):
        check_number(f"retention_shares: the search diverged; the share of encoder {encoder}", value)
    return [round(smallest * SHARE_STEPS) / SHARE_STEPS for smallest in accumulate(values, min)]


def validate_retention_shares(shares: Sequence[float], num_encoders: int) -> None:
    """Check retention shares.

    Raises:
        ConfigError: Unless there is one number for each encoder, none greater than the one before, and each
            from 0 ([CLS] alone) to 1 (all).
    """
    if len(shares) != num_encoders:
        raise ConfigError(
            f"retention_shares has {len(shares)} entries, but the model has {num_encoders} encoders"
        )
    for encoder, share in enumerate(shares, start=1):
        check_number(f"retention_shares, encoder {encoder}", share, high=1.0)
    for encoder, (before, after) in enumerate(pairwise(shares), start=2):
        if after > before:
            raise ConfigError(
                f"retention_shares grows from {before} to {after} at encoder {encoder}; "
                "an eliminated word-vector cannot come back"
            )


def validate_retention_configuration(
    configuration: Sequence[int], num_encoders: int, max_length: int | None = None
) -> None:
    """Check a retention configuration; without ``max_length`` entries have no upper limit.

    Raises:
        ConfigError: Unless there is one whole number for each encoder, none greater than the one before, and
            each from 1 to ``max_length``.
    """
    if len(configuration) != num_encoders:
        raise ConfigError(
            f"retention_configuration has {len(configuration)} entries, "
            f"but the model has {num_encoders} encoders"
        )
    for encoder, retained in enumerate(configuration, start=1):
        check_whole(f"retention_configuration, encoder {encoder}", retained, 1, max_length)
    for encoder, (before, after) in enumerate(pairwise(configuration), start=2):
        if after > before:
            raise ConfigError(
                f"retention_configuration grows from {before} to {after} at encoder {encoder}; "
                "an eliminated word-vector cannot come back"
            )
