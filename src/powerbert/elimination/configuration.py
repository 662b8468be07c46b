"""Retention configurations: how many word-vectors each encoder retains (section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor

from powerbert.base.errors import ConfigError

Rounding = Literal["ceil", "floor"]

TOLERANCE = 1e-4
"""A mass this close to a whole number is that number. It is a float32 sum of at most a few hundred parameters
in [0, 1], whose error is smaller: 64 parameters of 1 that sum to 64.000004 retain 64 word-vectors, not 65."""


def derive_retention_configuration(mass: Sequence[float] | Tensor, rounding: Rounding = "ceil") -> list[int]:
    """Turn the masses learnt by the search into a retention configuration.

    ``l_j`` is the rounded mass of encoder j, then ``min(l_j, l_{j-1})``, and never below 1 ([CLS]).

    Args:
        mass: Mass of each encoder, [L]. One within ``TOLERANCE`` of a whole number counts as that number.
        rounding: "ceil" as in the paper, or "floor" as in its released code.

    Returns:
        The number of word-vectors that each encoder retains, non-increasing.

    Raises:
        ConfigError: If ``rounding`` is neither, or a mass is not a finite number.
    """
    if rounding not in get_args(Rounding):
        raise ConfigError(f"rounding must be one of {', '.join(get_args(Rounding))}, not {rounding!r}")
    masses = mass.tolist() if isinstance(mass, Tensor) else list(mass)
    configuration: list[int] = []
    for encoder, value in enumerate(masses, start=1):
        if not math.isfinite(value):
            raise ConfigError(
                f"retention_configuration: the mass of encoder {encoder} is {value}, so the search diverged; "
                "lower learning_rate or retention_learning_rate"
            )
        retained = math.ceil(value - TOLERANCE) if rounding == "ceil" else math.floor(value + TOLERANCE)
        configuration.append(max(1, min([retained, *configuration[-1:]])))
    return configuration


def validate_retention_configuration(
    configuration: Sequence[int], num_encoders: int, max_length: int | None = None
) -> None:
    """Check that a retention configuration can be meant.

    Args:
        configuration: Number of word-vectors that each encoder retains.
        num_encoders: Number of encoders of the model, L.
        max_length: Longest input; None leaves that unchecked.

    Raises:
        ConfigError: If the configuration has not one whole number for each encoder, grows from one encoder to
            the next, or has an entry below 1 or above ``max_length``.
    """
    entries = list(configuration)
    if len(entries) != num_encoders:
        raise ConfigError(
            f"retention_configuration has {len(entries)} entries, but the model has {num_encoders} encoders"
        )
    for encoder, retained in enumerate(entries, start=1):
        entry = f"retention_configuration: {retained!r} at encoder {encoder}"
        if isinstance(retained, bool) or not isinstance(retained, int):
            raise ConfigError(f"{entry} is not a whole number")
        if retained < 1:
            raise ConfigError(f"{entry} is below 1; [CLS] is always retained")
        if max_length is not None and retained > max_length:
            raise ConfigError(f"{entry} exceeds the maximum length {max_length}")
    for encoder, (before, after) in enumerate(pairwise(entries), start=2):
        if after > before:
            raise ConfigError(
                f"retention_configuration grows from {before} to {after} at encoder {encoder}; "
                "an eliminated word-vector cannot come back"
            )
