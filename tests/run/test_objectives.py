import math

import pytest

from powerbert.base.errors import ConfigError
from powerbert.run.objectives import check_objectives, objective_values

RECORD = {
    "metric": {"dev": 0.9, "value": 0.8},
    "baseline": {"dev": 0.92, "value": 0.85},
    "word_vectors": {"retained": 40},
    "flops": {"model": 5.0, "ratio": 2.5},
    "latency": {"padded": {"model_ms": 7.0, "speedup": 2.0}, "dynamic": {"model_ms": 3.0, "speedup": 1.5}},
}


def test_values_come_in_the_order_asked_for():
    names = ["latency_dynamic", "metric", "word_vectors", "flops", "latency_padded"]
    assert objective_values(RECORD, names) == (3.0, 0.9, 40.0, 5.0, 7.0)


def test_loss_is_against_the_fine_tuned_model_on_dev_and_speed_ups_are_ratios():
    values = objective_values(RECORD, ["loss", "speedup_flops", "speedup_padded", "speedup_dynamic"])
    assert values == (pytest.approx(0.02), 2.5, 2.0, 1.5)
    gained = RECORD | {"metric": {"dev": 0.95}}
    assert objective_values(gained, ["loss"]) == (pytest.approx(-0.03),)


@pytest.mark.parametrize("undefined", ["metric", "baseline"])
def test_a_loss_is_nan_if_either_metric_is_undefined(undefined):
    assert math.isnan(objective_values(RECORD | {undefined: {"dev": None}}, ["loss"])[0])


def test_an_undefined_metric_is_nan_and_an_unknown_name_is_refused():
    assert math.isnan(objective_values(RECORD | {"metric": {"dev": None}}, ["metric"])[0])
    with pytest.raises(ConfigError, match="objectives: 'speed' is unknown"):
        objective_values(RECORD, ["speed"])
    with pytest.raises(ConfigError, match="objectives: 'speed' is unknown; choose from metric, loss"):
        check_objectives(["metric", "speed"])
