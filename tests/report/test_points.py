import pytest

from powerbert.report.points import choose, operating_points
from tests.report.records import point


def chosen(*records, tolerance=0.01):
    return choose(operating_points(records), tolerance)


def test_takes_the_fastest_within_the_tolerance():
    slow = point(knob=0.001, value=0.679, model_ms=100)
    fast = point(knob=0.003, value=0.67, model_ms=50)
    too_far = point(knob=0.01, value=0.6699, model_ms=20)
    best = chosen(slow, fast, too_far)
    assert best.records == (fast,)
    assert best.within(0.01)
    assert best.speedup("padded") == 4.0


def test_a_better_metric_than_the_baselines_is_within():
    assert chosen(point(value=0.9), tolerance=0.0).within(0.0)


def test_judges_on_dev_where_the_record_has_it():
    fine_on_dev = point(knob=0.003, value=0.60, dev=(0.68, 0.68), model_ms=50)
    fine_on_test = point(knob=0.001, value=0.68, dev=(0.60, 0.68), model_ms=20)
    assert chosen(fine_on_dev, fine_on_test).records == (fine_on_dev,)


def test_takes_the_best_metric_when_none_is_within():
    best = chosen(point(knob=0.01, value=0.5, model_ms=10), point(knob=0.003, value=0.6, model_ms=100))
    assert best.records[0]["knob"] == {"lambda": 0.003}
    assert not best.within(0.01)


def test_averages_over_seeds():
    best = chosen(
        point(seed=1, value=0.66, model_ms=40, baseline_ms=100),
        point(seed=2, value=0.70, model_ms=60, baseline_ms=300),
    )
    assert len(best.records) == 2
    assert best.mean("metric", "value") == pytest.approx(0.68)
    assert best.speedup("padded") == 3.75  # the mean of 2.5 and 5, not of the mean times
    assert best.speedup("dynamic") == 1.8


def test_a_seed_beyond_the_tolerance_counts_as_part_of_its_mean():
    seeds = [point(seed=1, value=0.66), point(seed=2, value=0.68)]
    assert chosen(*seeds).within(0.01)
    assert not chosen(*seeds).within(0.009)


@pytest.mark.parametrize(
    "other",
    [point(knob=0.003), point(device="cpu"), point(max_length=128), point(learning_rate=1e-5)],
    ids=["knob", "device", "length", "config"],
)
def test_never_averages_over_what_is_not_a_seed(other):
    assert len(operating_points([point(), other])) == 2


def test_unknown_numbers_never_win():
    unknown = point(knob=0.01, value=None, model_ms=None)
    assert chosen(unknown, point(value=0.1)).records[0]["knob"] == {"lambda": 0.001}
    assert chosen(point(value=0.68, model_ms=None, knob=0.01), point()).speedup("padded") == 4.0
    alone = chosen(unknown)
    assert alone.mean("metric", "value") is None
    assert alone.speedup("padded") is None
    assert not alone.within(0.01)
