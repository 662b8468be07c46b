"""Mean and deviation over seeds."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """A quantity over seeds.

    Attributes:
        mean: over the seeds.
        deviation: the sample standard deviation; None for a single seed.
    """

    mean: float
    deviation: float | None


def over_seeds(values: Iterable[tuple[int, float]]) -> Spread:
    """Mean and deviation of what the seeds gave.

    Args:
        values: at least one pair of a seed and a finite value.
    """
    means = by_seed(values)
    return Spread(fmean(means), stdev(means) if len(means) > 1 else None)


def by_seed(values: Iterable[tuple[int, float]]) -> list[float]:
    """The mean of each seed's values, so that each seed counts once however many it gave."""
    seeds: dict[int, list[float]] = {}
    for seed, value in values:
        seeds.setdefault(seed, []).append(value)
    return [fmean(group) for group in seeds.values()]
