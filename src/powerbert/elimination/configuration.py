"""Retention configurations: how many word-vectors each encoder retains (section 2.2)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor

from powerbert.base.checks import check_choice
from powerbert.base.errors import ConfigError

Rounding = Literal["ceil", "floor"]

TOLERANCE = 1e-4
"""A mass this close to a whole number counts as that number. A mass is a float32 sum of at most a few hundred
parameters in [0, 1], with a smaller error: 64 parameters of 1 may sum to 64.000004 and mean 64, not 65."""


def derive_retention_configuration(mass: Sequence[float] | Tensor, rounding: Rounding = "ceil") -> list[int]:
    """Turn the learnt mass of each encoder, [L], into a retention configuration (section 2.2).

    ``l_j`` is the rounded mass of encoder j, then ``min(l_j, l_{j-1})``, and at least 1 for [CLS]. The paper
    rounds with "ceil", its released code with "floor".

    Raises:
        ConfigError: If ``rounding`` is neither, or a mass is not a finite number.
    """
    check_choice("rounding", rounding, get_args(Rounding))
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
    """Check a retention configuration; without ``max_length`` entries have no upper limit.

    Raises:
        ConfigError: Unless there is one whole number for each encoder, none greater than the one before, and
            each from 1 to ``max_length``.
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
