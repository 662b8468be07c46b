"""Time calls in turn, repeat runs that other processes disturbed, and compare the times."""

import logging
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import torch

from powerbert.measure.clock import interquartile_range, milliseconds

Key = TypeVar("Key", bound=Hashable)
Statistic = Literal["median", "mean"]

LEAST_RUNS = 3
"""Runs made even after the time limit, so that there is a median and a spread."""
QUIET = 0.05
"""Largest share of the processors that others may use in an undisturbed run."""
WINDOW = 0.3
"""Seconds between two readings of the processors' times, which advance in steps of about 10 ms."""
LONGEST_WAIT = 60.0
"""Most seconds spent waiting for other processes."""

log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """Processor seconds since some fixed moment: of everyone, of this process tree, and available in all."""

    busy: float
    own: float
    capacity: float


@dataclass(frozen=True)
class Schedule:
    """How often and how long to measure.

    Attributes:
        runs: timed passes over the batches.
        warmup: passes before those, not counted.
        seconds: no further pass starts after that time, once there are `LEAST_RUNS`.
        statistic: reported value of the runs.
    """

    runs: int = 10
    warmup: int = 2
    seconds: float = float("inf")
    statistic: Statistic = "median"


@dataclass(frozen=True)
class Times(Generic[Key]):
    """Times of several calls over the same runs.

    Attributes:
        runs: milliseconds per batch of each call, run by run.
        statistic: reported value of the runs.
        others: largest share of the processors that other processes used in one of the runs, from 0 to 1;
            None where the system does not tell.
    """

    runs: Mapping[Key, Sequence[float]]
    statistic: Statistic = "median"
    others: float | None = None

    @property
    def disturbed(self) -> bool | None:
        """Whether other processes took more than `QUIET` of the processors; None if unknown."""
        return None if self.others is None else self.others > QUIET

    def ms(self, key: Key) -> float:
        """Reported milliseconds per batch."""
        runs = self.runs[key]
        return statistics.median(runs) if self.statistic == "median" else statistics.fmean(runs)

    def iqr_ms(self, key: Key) -> float:
        """Interquartile range over the runs, in milliseconds."""
        return interquartile_range(self.runs[key])

    def speedup(self, key: Key, baseline: Key) -> float:
        """Speed-up of one call over another."""
        return speedup(self.ms(key), self.ms(baseline))

    def speedup_range(self, key: Key, baseline: Key) -> tuple[float, float]:
        """Quartiles of the speed-up within single runs, widened to include the reported speed-up."""
        ratios = [speedup(a, b) for a, b in zip(self.runs[key], self.runs[baseline], strict=True)]
        reported = self.speedup(key, baseline)
        if len(ratios) < 2:
            return reported, reported
        lower, _, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        return min(lower, reported), max(upper, reported)


def speedup(model_ms: float, baseline_ms: float) -> float:
    """Divide the baseline's reported time by the model's; above 1 the model is faster.

    Both are the reported statistic over the runs, so that a reader who divides the two printed times gets
    the printed speed-up. A median or mean of the runs' ratios would not have this property.
    """
    return baseline_ms / model_ms


def time_in_turn(
    rounds: Sequence[Mapping[Key, Callable[[], object]]],
    device: torch.device,
    schedule: Schedule,
    *,
    advance: Callable[[], None] = lambda: None,
    read: Callable[[], Reading | None] | None = None,
) -> Times[Key]:
    """Time calls in turn on each batch, and repeat runs while other processes used the processors.

    Who goes first rotates, and the order reverses after each rotation, so that no call always finds the
    caches as the same other left them. A disturbed run is repeated once the machine is quiet: at most as many
    extra runs as runs, and waiting at most ten times as long as measuring took and `LONGEST_WAIT`. The
    quietest runs are kept.

    Args:
        rounds: for each batch the calls on it, all with the same keys.
        device: synchronised before and after each call.
        schedule: how often; its time limit does not count the repeats.
        advance: called after each run of the schedule, for a progress bar.
        read: reading of the processors' times; `read_processors` by default.
    """
    keys = list(rounds[0])
    watch = _Watch(read or read_processors)

    def run(number: int) -> dict[Key, float]:
        taken = dict.fromkeys(keys, 0.0)
        for index, calls in enumerate(rounds):
            for key in order(keys, number, index):
                taken[key] += milliseconds(calls[key], device)
        return {key: total / len(rounds) for key, total in taken.items()}

    for number in range(-schedule.warmup, 0):
        run(number)
        advance()
    started = time.perf_counter()
    runs: list[tuple[float | None, dict[Key, float]]] = []
    pending: list[dict[Key, float]] = []
    watch.restart()
    for number in range(schedule.runs):
        if number >= LEAST_RUNS and time.perf_counter() - started > schedule.seconds:
            break
        pending.append(run(number))
        advance()
        if watch.elapsed >= WINDOW:
            share = watch.share()
            runs += [(share, taken) for taken in pending]
            pending = []
    if pending:
        share = watch.share()
        runs += [(share, taken) for taken in pending]

    wanted = len(runs)
    patience = min(LONGEST_WAIT, 10 * (time.perf_counter() - started))
    for number in range(wanted, 2 * wanted):
        if not _disturbed(_quietest(runs, wanted)):
            break
        waited = watch.wait(patience)
        if waited is None:
            break
        patience -= waited
        watch.restart()
        taken = run(number)
        runs.append((watch.share(), taken))
    kept = _quietest(runs, wanted)
    shares = [share for share, _ in kept if share is not None]
    times = Times(
        {key: [taken[key] for _, taken in kept] for key in keys},
        schedule.statistic,
        max(shares) if shares else None,
    )
    if times.disturbed:
        log.warning(
            "other processes used up to %.0f%% of the processors while times were measured: "
            "times and speed-ups are unreliable; measure again on a quiet machine",
            100 * (times.others or 0.0),
        )
    return times


def order(keys: Sequence[Key], number: int, index: int) -> list[Key]:
    """Order the calls: rotated by run and batch, reversed once all rotations have had their turn."""
    first = (number + index) % len(keys)
    rotated = [*keys[first:], *keys[:first]]
    return rotated[::-1] if number // len(keys) % 2 else rotated


def read_processors() -> Reading | None:
    """Read the times of the processors that this process may use; None where the system does not tell."""
    try:
        import psutil
    except ImportError:  # an environment older than the dependency
        return None
    try:
        process = psutil.Process()
        allowed = set(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else None
        busy = capacity = 0.0
        for number, cpu in enumerate(psutil.cpu_times(percpu=True)):
            if allowed is None or number in allowed:
                # Linux counts guests in `user` and `nice` already.
                times = {name: value for name, value in cpu._asdict().items() if "guest" not in name}
                capacity += sum(times.values())
                busy += sum(v for name, v in times.items() if name not in ("idle", "iowait", "steal"))
        own = 0.0
        for member in [process, *process.children(recursive=True)]:
            try:
                # Includes children that have ended and been waited for.
                spent = member.cpu_times()
                own += spent.user + spent.system + spent.children_user + spent.children_system
            except psutil.Error:
                continue
        return Reading(busy, own, capacity)
    except (psutil.Error, OSError, AttributeError, NotImplementedError, ValueError):
        return None


class _Watch:
    """Share of the processors that others used since the last restart."""

    def __init__(self, read: Callable[[], Reading | None]):
        self._read = read
        self.restart()

    def restart(self) -> None:
        self._since, self._before = time.perf_counter(), self._read()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._since

    def share(self) -> float | None:
        """End the window, which lasts at least `WINDOW`, and start the next."""
        if self._before is not None:
            time.sleep(max(0.0, WINDOW - self.elapsed))
        before = self._before
        self.restart()
        after = self._before
        if before is None or after is None:
            return None
        busy, own, capacity = (now - then for now, then in zip(after, before, strict=True))
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


def _quietest(
    runs: Sequence[tuple[float | None, dict[Key, float]]], count: int
) -> list[tuple[float | None, dict[Key, float]]]:
    return sorted(runs, key=lambda run: run[0] or 0.0)[:count]


def _disturbed(runs: Sequence[tuple[float | None, object]]) -> bool:
    return any(share is not None and share > QUIET for share, _ in runs)
