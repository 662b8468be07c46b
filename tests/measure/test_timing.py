"""Times of calls in turn, and runs that other processes disturbed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import torch

from powerbert.measure import timing
from powerbert.measure.timing import Reading, Schedule, Times, order, time_in_turn

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short_windows(monkeypatch):
    monkeypatch.setattr(timing, "WINDOW", 0.01)
    monkeypatch.setattr(timing, "LONGEST_WAIT", 60.0)


class Processors:
    """Readings of two processors of which others use a share that a test sets."""

    def __init__(self, share):
        self.share, self.busy, self.capacity, self.readings = share, 0.0, 0.0, 0

    def __call__(self):
        self.readings += 1
        share = self.share(self.readings) if callable(self.share) else self.share
        self.busy += share * 2.0
        self.capacity += 2.0
        return Reading(self.busy, 0.0, self.capacity)


@pytest.fixture
def record(monkeypatch):
    """Return who was called with what, in order, and the times."""

    def make(names, batches, schedule, read=lambda: None):
        monkeypatch.setattr(timing, "read_processors", read)
        calls = []
        rounds = [{name: lambda n=name, b=batch: calls.append((n, b)) for name in names} for batch in batches]
        return calls, time_in_turn(rounds, CPU, schedule)

    return make


def test_every_batch_goes_to_all_of_them_before_the_next_one(record):
    calls, times = record("abc", [1, 2], Schedule(runs=4, warmup=1))
    rounds = [calls[start : start + 3] for start in range(0, len(calls), 3)]
    assert [{batch for _, batch in one} for one in rounds] == [{1}, {2}] * (4 + 1)
    assert all({name for name, _ in one} == set("abc") for one in rounds)
    assert {name: len(runs) for name, runs in times.runs.items()} == dict.fromkeys("abc", 4)


@pytest.mark.parametrize("count", range(1, 6))
def test_each_goes_at_each_place_and_before_and_after_its_neighbours_equally_often(count):
    keys = list(range(count))
    rounds = [order(keys, number, index=3) for number in range(-count, count)]
    places = Counter((key, place) for one in rounds for place, key in enumerate(one))
    assert places == dict.fromkeys(itertools.product(keys, keys), 2)
    followers = Counter(pair for one in rounds for pair in itertools.pairwise(one))
    assert all(followers[before, after] == followers[after, before] for before, after in followers)


def test_times_are_the_mean_over_batches_after_the_warm_up(monkeypatch):
    """A batch takes as many milliseconds as its number, and ten times that in the first pass."""
    seen = Counter()

    def taken(call, device):
        batch = call()
        seen[batch] += 1
        return batch * (10.0 if seen[batch] == 1 else 1.0)

    monkeypatch.setattr(timing, "milliseconds", taken)
    monkeypatch.setattr(timing, "read_processors", lambda: None)
    times = time_in_turn([{"a": lambda: 1}, {"a": lambda: 3}], CPU, Schedule(runs=3, warmup=1))
    assert times.runs["a"] == [2.0, 2.0, 2.0]


def test_a_limit_of_time_leaves_enough_runs_for_a_spread(record):
    _, times = record("ab", [1], Schedule(runs=50, warmup=0, seconds=1e-9))
    assert len(times.runs["a"]) == len(times.runs["b"]) == timing.LEAST_RUNS


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_the_speedup_is_the_ratio_of_the_reported_times(statistic):
    times = Times({"own": [1.0, 1.0, 3.0, 3.0, 3.0], "other": [2.0, 2.0, 6.0, 6.0, 9.0]}, statistic)
    assert times.speedup("own", "other") == times.ms("other") / times.ms("own")
    lower, upper = times.speedup_range("own", "other")
    assert lower <= times.speedup("own", "other") <= upper


def test_the_spread_is_that_between_quartiles():
    times = Times({"own": [4.0, 1.0, 2.0, 3.0, 5.0]})
    assert times.iqr_ms("own") == 2.0
    single = Times({"own": [2.0], "other": [5.0]})
    assert single.speedup_range("own", "other") == (2.5, 2.5)
    assert single.iqr_ms("own") == 0


def test_milliseconds_are_those_of_the_call_on_an_idle_device(monkeypatch):
    events, times = [], iter([1.0, 1.25])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: events.append("clock") or next(times))
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: events.append(device.type))
    taken = timing.milliseconds(lambda: events.append("call"), torch.device("meta"))
    assert taken == pytest.approx(250.0)
    assert events == ["meta", "clock", "call", "meta", "clock"]


def test_quiet_runs_are_not_repeated(record):
    calls, times = record("a", [1], Schedule(runs=3, warmup=0), Processors(0.01))
    assert len(calls) == 3
    assert times.disturbed is False
    assert times.others == pytest.approx(0.01)


def test_a_machine_that_never_gets_quiet_is_reported(record, caplog):
    calls, times = record("a", [1], Schedule(runs=3, warmup=0), Processors(0.5))
    assert times.disturbed is True
    assert times.others == pytest.approx(0.5)
    assert len(calls) <= 6
    assert "50%" in caplog.text


def test_runs_are_repeated_once_the_disturbance_ends(record):
    processors = Processors(lambda reading: 0.5 if reading <= 4 else 0.0)
    calls, times = record("a", [1], Schedule(runs=3, warmup=0), processors)
    assert 3 < len(calls) <= 6
    assert len(times.runs["a"]) == 3
    assert times.disturbed is False
    assert times.others == 0


@pytest.mark.parametrize(
    "read", [lambda: None, lambda: Reading(0.0, 0.0, 0.0), lambda: Reading(0.0, time.time(), time.time())]
)
def test_a_system_that_does_not_tell_is_unknown(record, read):
    calls, times = record("a", [1], Schedule(runs=2, warmup=0), read)
    assert times.disturbed is times.others is None
    assert len(calls) == 2


def test_own_work_is_no_disturbance(record):
    readings = ((n * 1.0, n * 1.0, n * 2.0) for n in itertools.count())
    _, times = record("a", [1], Schedule(runs=2, warmup=0), lambda: Reading(*next(readings)))
    assert times.disturbed is False


def test_without_patience_a_disturbed_run_is_kept(record):
    calls, times = record("a", [1], Schedule(runs=3, warmup=0, patience=0), Processors(0.5))
    assert len(calls) == 3
    assert times.disturbed is True


def test_a_process_that_burns_a_core_is_noticed(monkeypatch):
    monkeypatch.setattr(timing, "WINDOW", 0.3)
    monkeypatch.setattr(timing, "LONGEST_WAIT", 0.5)
    if timing.read_processors() is None:
        pytest.skip("the system does not report the processors' times")
    # The middle process ends, so that the burner does not count as this process's own work.
    burn = "[sys.executable, '-c', 'while True: pass'], stdout=-3, stderr=-3"
    start = f"import subprocess, sys; print(subprocess.Popen({burn}).pid)"
    burner = int(
        subprocess.run([sys.executable, "-c", start], stdout=subprocess.PIPE, check=True, timeout=30).stdout
    )
    try:
        times = time_in_turn([{"a": lambda: time.sleep(0.1)}], CPU, Schedule(runs=3, warmup=0))
    finally:
        os.kill(burner, signal.SIGKILL)
    assert times.disturbed is True
