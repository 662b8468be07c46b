import pytest
import torch

from powerbert.benchmark.pair import from_shape
from powerbert.benchmark.timings import training_row, training_stages, training_step
from powerbert.models.tiny import SIZES
from tests.benchmark.conftest import settings


@pytest.mark.parametrize("outputs", [1, 3])
def test_both_steps_are_timed_and_the_shared_weights_stay(outputs, inputs):
    pair = from_shape("tiny", "bert", seed=3, num_labels=outputs, **SIZES)
    before = {name: value.clone() for name, value in pair.host().state_dict().items()}
    row = training_row(pair, inputs, 16, 4, settings("runs=2"))
    assert (row["length"], row["batch_size"], row["runs"]) == (16, 4, 2)
    assert row["time_ratio"] == row["soft_ms"] / row["plain_ms"] > 0
    assert min(row["plain_iqr_ms"], row["soft_iqr_ms"]) >= 0
    for name, value in pair.host().state_dict().items():
        assert torch.equal(value, before[name])


def test_a_step_is_a_whole_one(pair, inputs):
    """With dropout, on labels, with the regularizer pulling the retention parameters below 1."""
    torch.manual_seed(2)
    (batch,) = inputs.batches("padded", 4, 8, 1)
    stages = training_stages(pair, 8, rate=0.7)
    for stage in stages:
        step = training_step(stage)
        for _ in range(3):
            step(batch | {"labels": torch.zeros(4, dtype=torch.int64)})
        assert all(module.training for module in stage.modules())
        assert not torch.equal(stage.model.classifier.weight, pair.host().classifier.weight)
    parameters = stages[1].soft_extract.retention_parameters
    assert parameters.min() == 0  # three steps of 0.7 would lead below, were it not for the projection
    assert parameters.max() < 1
