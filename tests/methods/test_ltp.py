"""Learned Token Pruning on a tiny model: the thresholds are learnt, then fixed, and words are gone."""

import json

import pytest
import torch

from powerbert.base.errors import ModelError
from powerbert.export import trace
from powerbert.measure import count_flops
from powerbert.measure.flops import flops_of_inputs
from powerbert.models import load_model, load_power_model
from powerbert.stages import Optimization, SoftThresholds
from tests.models.backbones import make_host, make_power
from tests.models.batches import padded, ragged_inputs
from tests.stages.trainings import TASK
from tests.tiny_runs import train

SETTINGS = ("method=ltp", "trainer.max_epochs=2", "method.threshold_learning_rate=0.02")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def record(corpus, runs):
    return train(corpus, runs, *SETTINGS, "method.regularization=1")


def loaded(record, runs, stage):
    folder = runs / "artifacts" / record["artifacts"][stage]
    return load_model(folder), json.loads((folder / "manifest.json").read_text())


def test_the_learnt_thresholds_are_those_of_the_final_model(record, runs):
    soft, manifest = loaded(record, runs, "search")
    learnt = soft.base_model.soft_threshold.thresholds
    assert learnt.tolist() == manifest["results"]["thresholds"]
    assert learnt[-1] > 0.01, "more than it was at first"
    hard, _ = loaded(record, runs, "retrain")
    assert hard.config.retention_thresholds == record["retention_thresholds"] == learnt.tolist()
    assert not any("threshold" in name for name in hard.state_dict())


def test_the_record_has_what_remains_and_what_it_costs(record):
    retained = record["retained"]
    assert len(retained) == 3
    assert all(1 <= own < 32 for own in retained)
    assert retained == sorted(retained, reverse=True)
    assert record["word_vectors"]["retained"] == round(sum(retained))
    assert record["retention_configuration"] is None
    for flops in (record["flops"], record["flops"]["dynamic"]):
        assert flops["ratio"] == flops["baseline"] / flops["model"] > 1
    assert record["knob"] == {"regularization": 1.0}


def test_a_greater_regularization_removes_more(corpus, runs, record):
    less = train(corpus, runs, *SETTINGS, "method.regularization=0")
    assert less["word_vectors"]["retained"] > record["word_vectors"]["retained"]
    assert less["artifacts"]["finetune"] == record["artifacts"]["finetune"]


def test_the_thresholds_are_reported_after_the_soft_stage(corpus, runs, record, caplog):
    caplog.set_level("INFO")
    train(corpus, runs, *SETTINGS, "method.regularization=1")
    shown = ", ".join(f"{value:.4f}" for value in record["retention_thresholds"])
    assert f"thresholds ({shown})" in caplog.text


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_regularizer_is_the_mean_of_the_soft_masks(side):
    model = make_power(make_host("bert"), soft_threshold_temperature=0.01)
    soft = model.base_model.soft_threshold
    masks = []
    soft.register_forward_hook(lambda module, inputs, mask: masks.append(mask.detach()))
    stage = SoftThresholds(
        model, TASK, Optimization(1e-3), regularization=0.5, threshold_learning_rate=1e-2
    ).train()
    batch = {**padded(ragged_inputs(), side=side), "labels": torch.tensor([0, 2, 1, 1])}
    loss = stage.loss(batch)
    words = batch["attention_mask"].sum(dim=1)
    penalty = sum((mask.sum(dim=1) / words).mean() for mask in masks) / 3
    torch.testing.assert_close(loss, model(**batch).loss + 0.5 * penalty)
    loss.backward()
    assert (soft.thresholds.grad != 0).all()
    *_, last = stage.parameter_groups()
    assert last == {"params": [soft.thresholds], "weight_decay": 0.0, "lr": 1e-2}


def test_hard_training_starts_from_the_soft_weights(tmp_path):
    soft = make_power(make_host("bert"), soft_threshold_temperature=0.01)
    soft.save_pretrained(tmp_path)
    hard = load_power_model(tmp_path, retention_thresholds=[0.1, 0.2, 0.3])
    assert hard.config.soft_threshold_temperature is None
    weights = soft.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in hard.state_dict().items())


def test_operations_are_counted_on_real_inputs():
    host = make_host("bert")
    batches = [padded([words], width=16) for words in ragged_inputs((9, 12))]
    assert flops_of_inputs(host, batches) == count_flops(host, 16)
    # Above any attention: the first encoder scores 16 words, padding included, and [CLS] alone leaves it.
    alone = make_power(host, retention_configuration=[1, 1, 1])
    removed = make_power(host, retention_thresholds=[1.0, 1.0, 1.0])
    hidden, heads, size = 32, 4, 8
    queries = 2 * hidden**2 * 15  # of the words that are scored but do not attend
    scores = 2 * heads * size * (16 * 16 + 1 + 1)
    expected = count_flops(alone, 16) + queries + scores
    assert flops_of_inputs(removed, batches) == pytest.approx(expected, rel=0.1)


def test_a_graph_is_refused():
    model = make_power(make_host("bert"), retention_thresholds=[0.1, 0.1, 0.1])
    with pytest.raises(ModelError, match=r"retention_thresholds .* cannot be exported"):
        trace(model, token_type_ids=False)
