"""The length rule of section 3.1: how long an input may be before it is truncated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CHOICES = (64, 128, 256, 512)
PERCENT_LONGER = 1


@dataclass(frozen=True)
class LengthChoice:
    """What the rule found.

    Attributes:
        max_length: l, the value of `CHOICES` closest to `covering`.
        covering: l', the smallest length such that at most 1% of the inputs are longer.
        truncated: the share of the inputs that are longer than l.
    """

    max_length: int
    covering: int
    truncated: float


def choose_max_length(lengths: Sequence[int] | np.ndarray, longest: int | None = None) -> LengthChoice:
    """Applies the rule.

    Args:
        lengths: word pieces of each training input, special tokens included, not truncated.
        longest: the most the model can take; larger values of `CHOICES` are left out.

    Returns:
        The choice. Of two values equally close to l' the larger is taken, which truncates less. If the model
        takes none of `CHOICES`, l is `longest`.
    """
    counted = np.sort(np.asarray(lengths))
    may_be_longer = len(counted) * PERCENT_LONGER // 100
    covering = int(counted[len(counted) - 1 - may_be_longer])
    choices = [choice for choice in CHOICES if longest is None or choice <= longest] or [
        longest or CHOICES[0]
    ]
    max_length = min(choices, key=lambda choice: (abs(choice - covering), -choice))
    return LengthChoice(max_length, covering, float(np.mean(counted > max_length)))
