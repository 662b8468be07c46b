import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerbert.report.compare import compare
from powerbert.report.frame import COSTS, tabulate
from powerbert.report.points import average, fastest, hypervolume, non_dominated
from tests.report.records import point


@pytest.mark.parametrize(
    ("pairs", "marks"),
    [
        ([], []),
        ([(0.5, 1.0)], [True]),
        ([(0.9, 0.8), (0.8, 0.5), (0.7, 0.6)], [True, True, False]),
        ([(0.9, 0.5), (0.9, 0.5)], [True, True]),  # equal: neither beats the other
        ([(0.9, 0.5), (0.8, 0.5)], [True, False]),  # equal cost
        ([(0.9, 0.5), (0.9, 0.6)], [True, False]),  # equal metric
        ([(0.9, 0.5), (0.9, 0.5), (0.8, 0.9)], [True, True, False]),
        ([(math.nan, 0.5), (0.8, 0.9)], [False, True]),  # an unknown metric neither wins nor beats
    ],
)
def test_front_of_constructed_points(pairs, marks):
    assert non_dominated(pairs).tolist() == marks


def beats(a, b):
    return a[0] >= b[0] and a[1] <= b[1] and a != b


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_front_agrees_with_its_definition(pairs):
    expected = [not any(beats(other, pair) for other in pairs) for pair in pairs]
    assert non_dominated(pairs).tolist() == expected


@pytest.mark.parametrize(
    ("pairs", "area"),
    [
        ([], 0),
        ([(0.9, 0.5)], 0.1 * 0.5),
        ([(0.9, 0.5), (0.9, 0.5)], 0.1 * 0.5),
        ([(0.9, 0.5), (0.85, 0.2)], 0.05 * 0.5 + 0.05 * 0.8),
        ([(0.9, 0.5), (0.85, 0.2), (0.84, 0.4)], 0.05 * 0.5 + 0.05 * 0.8),  # the last is beaten
        ([(0.9, 0.5), (0.9, 0.25)], 0.1 * 0.75),  # equal metric
        ([(0.9, 1.0)], 0),  # as slow as the reference
        ([(0.9, 1.5)], 0),
        ([(0.8, 0.1)], 0),  # as bad as the reference
        ([(0.1, 0.1)], 0),
    ],
)
def test_hypervolume_of_constructed_points(pairs, area):
    assert hypervolume(pairs, reference=(0.8, 1.0)) == pytest.approx(area)


def comparison(*points, **settings):
    """Of pairs (metric, speed-up) of PoWER-BERT, against a baseline of 0.80."""
    records = [
        point(
            knob=float(number), value=value, baseline=0.80, model_ms=200 / speedup, dynamic=1.0, flops=speedup
        )
        for number, (value, speedup) in enumerate(points)
    ]
    return compare(records, **settings)[0]


def summary(one):
    """The first method's row."""
    return one.summary.to_dict("records")[0]


def front(one, cost):
    return sorted(one.points["knob"][one.points[f"{cost}_front"]])


def test_hypervolume_is_relative_to_the_fine_tuned_model():
    found = summary(comparison((0.80, 2.0), (0.75, 4.0)))
    assert found["hypervolume_padded"] == pytest.approx((0.05 * 0.75 + 0.05 * 0.5) / 0.10)
    assert found["hypervolume_flops"] == pytest.approx(found["hypervolume_padded"])
    assert found["hypervolume_dynamic"] == 0  # no faster than the reference
    assert summary(comparison((0.80, 4.0), margin=5.0))["hypervolume_padded"] == pytest.approx(0.75)


def test_hypervolume_does_not_depend_on_other_methods():
    own = [point(value=0.79, baseline=0.80)]
    others = [point(method="distilbert", knob={"encoders": k}, value=0.78, baseline=0.80) for k in (2, 3)]
    assert summary(compare(own)[0]) == summary(compare(own + others)[0])


@pytest.mark.parametrize(
    ("points", "tolerance", "knob"),
    [
        ([(0.80, 2.0), (0.795, 3.0), (0.78, 9.0)], 1.0, "lambda=1"),
        ([(0.80, 2.0), (0.79, 3.0)], 1.0, "lambda=1"),  # a loss of exactly the tolerance
        ([(0.80, 2.0), (0.7899, 3.0)], 1.0, "lambda=0"),
        ([(0.80, 2.0), (0.78, 9.0)], 2.0, "lambda=1"),
        ([(0.795, 3.0), (0.80, 3.0)], 1.0, "lambda=1"),  # equally fast: the better one
        ([(0.81, 0.5)], 0.0, "lambda=0"),
    ],
)
def test_best_speedup_within_the_tolerance(points, tolerance, knob):
    assert summary(comparison(*points, tolerance=tolerance))["knob_padded"] == knob


def test_the_front_is_that_of_all_methods_together_with_the_fine_tuned_model():
    ours = point(knob=0.1, value=0.79, baseline=0.80, model_ms=50, dynamic=1.1)
    twin = point(knob=0.2, value=0.79, baseline=0.80, model_ms=50, dynamic=0.9)
    theirs = point(
        method="distilbert", knob={"encoders": 3}, value=0.78, baseline=0.80, model_ms=100, dynamic=2
    )
    one = compare([ours, twin, theirs])[0]
    assert front(one, "padded") == ["lambda=0.1", "lambda=0.2"]  # duplicates stay
    assert front(one, "dynamic") == [
        "encoders=3",
        "lambda=0.1",
    ]  # the twin is slower than 1.0x
    assert front(one, "flops") == ["lambda=0.1", "lambda=0.2"]


def test_a_point_as_good_as_the_fine_tuned_model_is_on_the_front():
    for cost in COSTS:
        assert len(front(comparison((0.80, 1.0)), cost)) == 1, cost


def test_many_points_at_once():
    circle = [(math.sin(a), 1 - math.cos(a)) for a in (math.pi / 2 * k / 20_000 for k in range(20_000))]
    assert all(non_dominated(circle))
    assert hypervolume(circle, reference=(0.0, 1.0)) == pytest.approx(math.pi / 4, abs=1e-3)


def test_the_best_point_is_chosen_on_dev_and_reported_on_the_evaluation_split():
    good_on_dev = point(knob=0.1, value=0.78, baseline=0.80, dev=(0.85, 0.85), model_ms=50, split="test")
    good_on_test = point(knob=0.2, value=0.80, baseline=0.80, dev=(0.82, 0.85), model_ms=40, split="test")
    one = compare([good_on_dev, good_on_test])[0]
    best = summary(one)
    assert best["knob_padded"] == "lambda=0.1"
    assert best["change_padded"] == pytest.approx(-0.02)
    assert not any("optimistic" in note for note in one.notes)


def test_the_front_is_selected_on_dev():
    first = point(knob=0.1, value=0.70, baseline=0.80, dev=(0.86, 0.85), model_ms=50, split="test")
    second = point(knob=0.2, value=0.80, baseline=0.80, dev=(0.82, 0.85), model_ms=60, split="test")
    assert front(compare([first, second])[0], "padded") == ["lambda=0.1"]


def points(*records):
    """A point for all runs that differ in their seed alone."""
    return pd.DataFrame([average(runs) for _, runs in tabulate(records).groupby("run", sort=False)])


def chosen(*records, tolerance=0.01):
    best = fastest(points(*records), "padded", tolerance)
    return None if best is None else best["knob"]


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
    assert points(unknown)[["metric", "padded_speedup"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"split": "dev", "dev": (0.67, 0.68)}, True),
        ({"split": "dev"}, True),
        ({"split": "test", "dev": (0.70, 0.71)}, False),
        ({"split": "test"}, True),  # no metric on dev: the evaluation split decides
    ],
)
def test_a_report_says_when_the_points_are_chosen_on_the_evaluation_split(fields, said):
    (one,) = compare([point(**fields)])
    assert any("dev is also the evaluation split" in note for note in one.notes) is said
