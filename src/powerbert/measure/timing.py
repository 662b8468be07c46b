"""Time calls in turn, repeat runs that other processes disturbed, and compare the times."""

import contextlib
import logging
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import psutil
import torch

from powerbert.base.progress import progress
from powerbert.measure.settings import Statistic

Key = TypeVar("Key", bound=Hashable)

LEAST_RUNS = 3
"""Runs made in spite of the time limit; fewer give no spread."""
QUIET = 0.05
"""Largest share of the processors that others may use in an undisturbed run."""
WINDOW = 0.3
"""Seconds between two readings of the processors' times, which advance in steps of about 10 ms."""
LONGEST_WAIT = 60.0
"""Longest time in seconds spent waiting for other processes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Number of timed passes over the batches, of uncounted passes before, and what is reported.

    No further pass starts after `seconds`, once there are `LEAST_RUNS`. Other processes are waited for during
    at most `patience` seconds.
    """

    runs: int = 10
    warmup: int = 2
    seconds: float = float("inf")
    patience: float = float("inf")
    statistic: Statistic = "median"


@dataclass(frozen=True)
class Times(Generic[Key]):
    """Times of several calls over the same runs.

    Attributes:
        runs: milliseconds per batch of each call, run by run.
        statistic: reported statistic of the runs.
        others: largest share of the processors that other processes used in one of the runs, from 0 to 1;
            None if the system does not report it.
    """

    runs: Mapping[Key, Sequence[float]]
    statistic: Statistic = "median"
    others: float | None = None

    @property
    def disturbed(self) -> bool | None:
        """Whether other processes took more than `QUIET` of the processors; None if unknown."""
        return None if self.others is None else self.others > QUIET

    def ms(self, key: Key) -> float:
        """Return the reported milliseconds per batch."""
        runs = self.runs[key]
        return statistics.median(runs) if self.statistic == "median" else statistics.fmean(runs)

    def iqr_ms(self, key: Key) -> float:
        """Return the interquartile range over the runs, in milliseconds."""
        lower, upper = _quartiles(self.runs[key])
        return upper - lower

    def speedup(self, key: Key, baseline: Key) -> float:
        """Divide the baseline's reported time by the call's; above 1 the call is faster.

        A median or mean of the runs' ratios would differ from the ratio of the two reported times.
        """
        return self.ms(baseline) / self.ms(key)

    def speedup_range(self, key: Key, baseline: Key) -> tuple[float, float]:
        """Return the quartiles of the speed-up within single runs, widened to include the reported one."""
        ratios = [other / own for own, other in zip(self.runs[key], self.runs[baseline], strict=True)]
        reported = self.speedup(key, baseline)
        lower, upper = _quartiles(ratios)
        return min(lower, reported), max(upper, reported)


def time_in_turn(
    rounds: Sequence[Mapping[Key, Callable[[], object]]],
    device: torch.device,
    schedule: Schedule,
    description: str | None = None,
) -> Times[Key]:
    """Time calls in turn on each batch, and repeat runs while other processes used the processors.

    A disturbed run is repeated once the machine is quiet: with at most as many extra runs as runs, and a wait
    of at most the schedule's patience, `LONGEST_WAIT` and ten times the measuring time. The quietest runs are
    kept.

    Args:
        rounds: for each batch the calls on it, all with the same keys.
        device: synchronised before and after each call.
        schedule: its time limit does not count the repeats.
        description: of the progress bar; None for no bar.
    """
    keys = list(rounds[0])

    def run(number: int) -> dict[Key, float]:
        taken = dict.fromkeys(keys, 0.0)
        for index, calls in enumerate(rounds):
            for key in order(keys, number, index):
                taken[key] += milliseconds(calls[key], device)
        return {key: total / len(rounds) for key, total in taken.items()}

    for number in range(-schedule.warmup, 0):
        run(number)
    numbers: Iterable[int] = range(schedule.runs)
    watch = _Watch()
    started = time.perf_counter()
    runs: list[dict[Key, float]] = []
    shares: list[float | None] = []  # of the processors, used by others in each run
    for number in progress(numbers, description) if description else numbers:
        if number >= LEAST_RUNS and time.perf_counter() - started > schedule.seconds:
            break
        runs.append(run(number))
        if watch.elapsed >= WINDOW:
            shares += [watch.share()] * (len(runs) - len(shares))
    if len(shares) < len(runs):
        shares += [watch.share()] * (len(runs) - len(shares))

    wanted = len(runs)
    patience = min(schedule.patience, LONGEST_WAIT, 10 * (time.perf_counter() - started))
    while patience and len(runs) < 2 * wanted:
        if max(shares[i] or 0.0 for i in _quietest(shares, wanted)) <= QUIET:
            break
        waited = watch.wait(patience)
        if waited is None:
            break
        patience -= waited
        watch.restart()
        runs.append(run(len(runs)))
        shares.append(watch.share())
    kept = _quietest(shares, wanted)
    others = max((share for share in (shares[i] for i in kept) if share is not None), default=None)
    times = Times({key: [runs[i][key] for i in kept] for key in keys}, schedule.statistic, others)
    if times.disturbed:
        log.warning(
            "other processes used up to %.0f%% of the processors while times were measured: "
            "times and speed-ups are unreliable; measure again on a quiet machine",
            100 * (others or 0.0),
        )
    return times


def order(keys: Sequence[Key], number: int, index: int) -> list[Key]:
    """Rotate the calls by run and batch, and reverse them once all rotations have had their turn.

    In a fixed order a call would always find the caches as the same other call left them.
    """
    first = (number + index) % len(keys)
    rotated = [*keys[first:], *keys[:first]]
    return rotated[::-1] if number // len(keys) % 2 else rotated


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Measure the wall-clock time of a call, with the device idle before and after."""
    _synchronize(device)
    start = time.perf_counter()
    call()
    _synchronize(device)
    return (time.perf_counter() - start) * 1e3


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":  # a CPU is idle whenever a call returns
        torch.accelerator.synchronize(device)


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    lower, upper = np.quantile(values, (0.25, 0.75)).tolist()
    return lower, upper


def _quietest(shares: Sequence[float | None], count: int) -> list[int]:
    """Return the indices of the `count` quietest runs."""
    return sorted(range(len(shares)), key=lambda index: shares[index] or 0.0)[:count]


class Reading(NamedTuple):
    """Processor seconds since a fixed moment: of all processes, of this process tree, and available."""

    busy: float
    own: float
    capacity: float


def read_processors() -> Reading | None:
    """Read the times of the processors that this process may use; None if the system does not report them."""
    try:
        process = psutil.Process()
        allowed = set(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else None
        busy = own = capacity = 0.0
        for number, cpu in enumerate(psutil.cpu_times(percpu=True)):
            if allowed is None or number in allowed:
                # Linux counts guests in `user` and `nice` already.
                times = {name: value for name, value in cpu._asdict().items() if "guest" not in name}
                capacity += sum(times.values())
                busy += sum(v for name, v in times.items() if name not in ("idle", "iowait", "steal"))
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                own += sum(member.cpu_times()[:4])  # user and system, also of children that have ended
        return Reading(busy, own, capacity)
    except (psutil.Error, OSError, AttributeError, NotImplementedError, ValueError):
        return None


class _Watch:
    """Share of the processors that others used since the last restart."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._since, self._before = time.perf_counter(), read_processors()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._since

    def share(self) -> float | None:
        """End the window, which lasts at least `WINDOW`, and start the next."""
        before = self._before
        if before is not None:
            time.sleep(max(0.0, WINDOW - self.elapsed))
        self.restart()
        if before is None or self._before is None:
            return None
        busy, own, capacity = (now - then for now, then in zip(self._before, before, strict=True))
        # Some containers report frozen times, or none of the work of their own processes.
        if capacity <= 0 or busy < own / 2:
            return None
        return min(1.0, max(0.0, busy - max(0.0, own)) / capacity)

    def wait(self, patience: float) -> float | None:
        """Wait until others are quiet; return the seconds it took, or None if `patience` ran out."""
        started = time.perf_counter()
        while (waited := time.perf_counter() - started) < patience:
            self.restart()
            if (share := self.share()) is not None and share <= QUIET:
                return time.perf_counter() - started
            time.sleep(min(WINDOW, max(0.0, patience - waited)))
        return None
