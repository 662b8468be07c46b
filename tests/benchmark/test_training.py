import pytest
import torch

from powerbert.benchmark import training
from powerbert.benchmark.training import measure_training
from powerbert.measure.timing import Times
from tests.benchmark.conftest import settings


def test_both_steps_train_and_the_shared_weights_stay(pair, inputs):
    before = {name: value.clone() for name, value in pair.host().state_dict().items()}
    row = measure_training(pair, inputs, 16, 4, settings("runs=2"))
    assert (row.length, row.batch_size, row.runs) == (16, 4, 2)
    assert min(row.plain_ms, row.soft_ms, row.time_ratio) > 0
    for name, value in pair.host().state_dict().items():
        assert torch.equal(value, before[name])


def test_the_ratio_is_of_the_search_to_fine_tuning(pair, inputs, monkeypatch):
    times = Times({"plain": [2.0, 2.0, 4.0], "soft": [3.0, 3.0, 5.0]})
    monkeypatch.setattr(training, "time_in_turn", lambda *_: times)
    row = measure_training(pair, inputs, 8, 2, settings())
    assert (row.plain_ms, row.soft_ms, row.time_ratio) == (2.0, 3.0, 1.5)
    assert (row.plain_iqr_ms, row.soft_iqr_ms) == (1.0, 1.0)


def test_a_step_is_a_whole_one(pair, inputs, monkeypatch):
    """With dropout, on labels, with the regularizer pulling the retention parameters below 1."""
    stages = []
    step = training.training_step
    monkeypatch.setattr(
        training, "training_step", lambda stage, **project: stages.append(stage) or step(stage, **project)
    )
    monkeypatch.setattr(training, "RETENTION_LEARNING_RATE", 0.7)
    measure_training(pair, inputs, 8, 4, settings("runs=3"))
    plain, soft = stages
    assert plain.training
    assert soft.training
    parameters = soft.soft_extract.retention_parameters
    assert parameters.min() == 0  # three steps of 0.7 would lead below, were it not for the projection
    assert parameters.max() < 1
    weight = pair.config and plain.model.classifier.weight
    assert not torch.equal(weight, pair.host().classifier.weight)


@pytest.mark.parametrize(("outputs", "regression"), [(1, True), (3, False)])
def test_labels_suit_the_model(outputs, regression, pair, inputs):
    config = pair.config
    kept, config.num_labels = config.num_labels, outputs
    try:
        task = training._task(pair, 8)
    finally:
        config.num_labels = kept
    assert task.is_regression is regression
    assert training._labels(task, 5).is_floating_point() is regression
