import math

import pytest

from powerbert.errors import ConfigError
from powerbert.objectives import objective_values

RECORD = {
    "metric": {"dev": 0.9, "value": 0.8},
    "word_vectors": {"retained": 40},
    "flops": {"model": 5.0},
    "latency": {"padded": {"model_ms": 7.0}, "dynamic": {"model_ms": 3.0}},
}


def test_values_come_in_the_order_asked_for():
    names = ["latency_dynamic", "metric", "word_vectors", "flops", "latency_padded"]
    assert objective_values(RECORD, names) == (3.0, 0.9, 40.0, 5.0, 7.0)


def test_an_undefined_metric_is_nan_and_an_unknown_name_is_refused():
    assert math.isnan(objective_values(RECORD | {"metric": {"dev": None}}, ["metric"])[0])
    with pytest.raises(ConfigError, match="objectives: 'speed' is unknown"):
        objective_values(RECORD, ["speed"])
