import itertools
from collections import Counter

import pytest
import torch

from powerbert.benchmark import timing
from powerbert.benchmark.timing import Schedule, Times, order, time_interleaved

CPU = torch.device("cpu")


def record(names, batches, schedule):
    """Who was called with what, in order, and the times."""
    calls = []

    def caller(name):
        return lambda batch: calls.append((name, batch))

    times = time_interleaved({name: caller(name) for name in names}, batches, CPU, schedule)
    return calls, times


def test_every_batch_goes_to_all_of_them_before_the_next_one():
    calls, times = record("abc", [1, 2], Schedule(runs=4, warmup=1))
    rounds = [calls[start : start + 3] for start in range(0, len(calls), 3)]
    assert len(rounds) == 2 * (4 + 1)
    assert [{batch for _, batch in one} for one in rounds] == [{1}, {2}] * 5
    assert all({name for name, _ in one} == set("abc") for one in rounds)
    assert {name: len(taken.passes) for name, taken in times.items()} == dict.fromkeys("abc", 4)


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
        (batch,) = call.args
        seen[batch] += 1
        return batch * (10.0 if seen[batch] == 1 else 1.0)

    monkeypatch.setattr(timing, "milliseconds", taken)
    times = time_interleaved({"a": print}, [1, 3], CPU, Schedule(runs=3, warmup=1))
    assert times["a"].passes == [2.0, 2.0, 2.0]


def test_a_limit_of_time_leaves_enough_runs_for_a_spread():
    _, times = record("ab", [1], Schedule(runs=50, warmup=0, seconds=1e-9))
    assert len(times["a"].passes) == len(times["b"].passes) == timing.LEAST_RUNS


def test_a_speedup_is_taken_run_by_run():
    """The machine slows down to a third meanwhile, and both with it; the ratio of the medians would be 3."""
    own, other = Times([1.0, 1.0, 3.0, 3.0, 3.0]), Times([2.0, 2.0, 6.0, 6.0, 9.0])
    assert own.speedup_over(other) == (2.0, 2.0, 2.0)
    assert (own.median, own.spread) == (3.0, 2.0)


def test_one_run_has_no_spread():
    assert Times([2.0]).speedup_over(Times([5.0])) == (2.5, 2.5, 2.5)
    assert Times([2.0]).spread == 0
