"""Retention configurations: how many word-vectors each encoder retains (section 2.2)."""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from torch import Tensor

from powerbert.base.checks import check_choice, check_whole
from powerbert.base.errors import ConfigError

TOLERANCE = 1e-4
"""A mass this close to a whole number counts as that number: 64 parameters of 1 may sum to 64.000004."""


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
