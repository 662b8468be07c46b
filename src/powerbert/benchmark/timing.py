"""Timing several ways to compute the same thing, in turn and in one process."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from powerbert.base.progress import progress
from powerbert.measure.clock import interquartile_range, milliseconds

Key = TypeVar("Key", bound=Hashable)
Batch = TypeVar("Batch")

LEAST_RUNS = 3
"""Runs that a limit of time does not do away with, so that there is a median and a spread."""


@dataclass(frozen=True)
class Schedule:
    """How often and how long to measure.

    Attributes:
        runs: timed passes over the batches.
        warmup: passes before those, which are not counted.
        seconds: after that long no further pass is begun, once there are `LEAST_RUNS`.
    """

    runs: int = 10
    warmup: int = 2
    seconds: float = float("inf")


@dataclass(frozen=True)
class Times:
    """What one contestant took.

    Attributes:
        passes: milliseconds for a batch, the mean over the batches of each pass.
    """

    passes: Sequence[float]

    @property
    def median(self) -> float:
        """The median over the passes."""
        return statistics.median(self.passes)

    @property
    def spread(self) -> float:
        """The interquartile range over the passes."""
        return interquartile_range(self.passes)

    def speedup_over(self, other: "Times") -> tuple[float, float, float]:
        """How many times as long the other took, pass by pass: what slows down a pass slows down both.

        Args:
            other: of the same passes.

        Returns:
            The median of the passes' ratios, and their lower and upper quartile.
        """
        ratios = [theirs / own for own, theirs in zip(self.passes, other.passes, strict=True)]
        if len(ratios) == 1:
            return ratios[0], ratios[0], ratios[0]
        lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        return median, lower, upper


def time_interleaved(
    calls: Mapping[Key, Callable[[Batch], object]],
    batches: Sequence[Batch],
    device: torch.device,
    schedule: Schedule,
) -> dict[Key, Times]:
    """Times calls in turn, on the same batches.

    Each batch is given to all of them one after another before the next one is. Who goes first rotates, and
    the order turns round, so that none always finds the caches as the same other left them.

    Args:
        calls: what to time, by name.
        batches: on `device`.
        device: synchronised before and after each call.
        schedule: how often.

    Returns:
        The times of each.
    """
    passes: dict[Key, list[float]] = {key: [] for key in calls}
    started = time.perf_counter()
    for number in progress(range(-schedule.warmup, schedule.runs), "Timing"):
        if number == 0:
            started = time.perf_counter()
        if number >= LEAST_RUNS and time.perf_counter() - started > schedule.seconds:
            break
        taken = dict.fromkeys(calls, 0.0)
        for index, batch in enumerate(batches):
            for key in order(list(calls), number, index):
                taken[key] += milliseconds(partial(calls[key], batch), device)
        if number >= 0:
            for key, total in taken.items():
                passes[key].append(total / len(batches))
    return {key: Times(times) for key, times in passes.items()}


def order(keys: list[Key], number: int, index: int) -> list[Key]:
    """Who goes when: rotated by pass and batch, and turned round once all rotations have had their turn.

    Args:
        keys: of the calls.
        number: of the pass.
        index: of the batch.
    """
    first = (number + index) % len(keys)
    rotated = keys[first:] + keys[:first]
    return rotated[::-1] if number // len(keys) % 2 else rotated
