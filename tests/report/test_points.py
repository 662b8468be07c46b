import math

import pandas as pd
import pytest

from powerbert.report.frame import tabulate
from powerbert.report.points import average, fastest
from tests.report.records import point


def points(*records):
    """A point for all runs that differ in their seed alone."""
    return pd.DataFrame([average(runs) for _, runs in tabulate(records).groupby("run", sort=False)])


def chosen(*records, tolerance=0.01):
    best = fastest(points(*records), "padded", tolerance)
    return None if best is None else best["knob"]


def test_takes_the_fastest_within_the_tolerance():
    slow = point(knob=0.001, value=0.679, model_ms=100)
    fast = point(knob=0.003, value=0.67, model_ms=50)
    too_far = point(knob=0.01, value=0.6699, model_ms=20)
    assert chosen(slow, fast, too_far) == "lambda=0.003"
    assert chosen(too_far) is None


def test_a_better_metric_than_the_baselines_is_within():
    assert chosen(point(value=0.9), tolerance=0.0)


def test_judges_on_dev_where_the_record_has_it():
    fine_on_dev = point(knob=0.003, value=0.60, dev=(0.68, 0.68), model_ms=50)
    fine_on_test = point(knob=0.001, value=0.68, dev=(0.60, 0.68), model_ms=20)
    assert chosen(fine_on_dev, fine_on_test) == "lambda=0.003"


def test_averages_over_seeds():
    (best,) = points(
        point(seed=1, value=0.66, model_ms=40, baseline_ms=100),
        point(seed=2, value=0.70, model_ms=60, baseline_ms=300),
    ).to_dict("records")
    assert best["seeds"] == (1, 2)
    assert best["metric"] == pytest.approx(0.68)
    assert best["padded_speedup"] == 3.75  # the mean of 2.5 and 5, not of the mean times
    assert best["dynamic_speedup"] == 1.8


def test_a_seed_beyond_the_tolerance_counts_as_part_of_its_mean():
    seeds = [point(seed=1, value=0.66), point(seed=2, value=0.68)]
    assert chosen(*seeds)
    assert not chosen(*seeds, tolerance=0.009)


@pytest.mark.parametrize(
    "other",
    [point(knob=0.003), point(device="cpu"), point(max_length=128), point(learning_rate=1e-5)],
    ids=["knob", "device", "length", "config"],
)
def test_never_averages_over_what_is_not_a_seed(other):
    assert len(points(point(), other)) == 2


def test_unknown_numbers_never_win():
    unknown = point(knob=0.01, value=None, model_ms=None)
    assert chosen(unknown, point(value=0.68)) == "lambda=0.001"
    assert chosen(point(value=0.68, model_ms=None, knob=0.01), point()) == "lambda=0.001"
    assert chosen(unknown) is None
    alone = points(unknown).iloc[0]
    assert math.isnan(alone["metric"])
    assert math.isnan(alone["padded_speedup"])
