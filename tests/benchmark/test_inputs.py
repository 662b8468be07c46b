import statistics

import pytest
import torch
from transformers import AutoModelForMultipleChoice

from powerbert.base.errors import ConfigError
from powerbert.benchmark.inputs import PROTOCOLS, choose_inputs, drawn_inputs, split_inputs
from powerbert.benchmark.pair import Pair
from powerbert.models.tiny import tiny_config
from powerbert.predict.subject import Subject


def real(batch):
    return batch["attention_mask"].sum(-1).tolist()


def test_drawn_lengths_have_the_median_and_one_in_a_hundred_fills_the_length():
    inputs = drawn_inputs(tiny_config(), median_length=0.35, seed=0)
    lengths = [len(row["input_ids"]) for row in inputs.rows(200, 4000)]
    assert statistics.median(lengths) == pytest.approx(70, rel=0.05)
    assert sum(length == 200 for length in lengths) / len(lengths) == pytest.approx(0.01, abs=0.005)
    assert min(lengths) >= 3


def test_the_seed_decides(inputs):
    again, other = (drawn_inputs(tiny_config(), 0.5, seed=seed) for seed in (1, 2))
    assert inputs.rows(20, 5) == again.rows(20, 5)
    assert inputs.rows(20, 5) != other.rows(20, 5)


def test_a_median_that_is_the_length_pads_nothing(pair):
    (batch,) = drawn_inputs(pair.config, 1.0, seed=1).batches("padded", 50, 12, 1)
    assert real(batch) == [12] * 50
    assert 0 <= batch["input_ids"].min() <= batch["input_ids"].max() < pair.config.vocab_size


def test_padded_is_one_batch_of_that_length_with_a_mask(inputs):
    (batch,) = inputs.batches("padded", 6, 24, count=3)
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids"), (6, 24)
    )
    assert len(set(real(batch))) > 1
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()


def test_dynamic_batches_are_sorted_by_length_and_no_longer_than_their_longest(inputs):
    batches = inputs.batches("dynamic", 4, 40, count=3)
    widths = [batch["input_ids"].shape[1] for batch in batches]
    assert len(batches) == 3
    assert widths == sorted(widths)
    assert widths == [max(real(batch)) for batch in batches]
    assert widths[0] < 40


@pytest.mark.parametrize("backbone", ["roberta", "distilbert"])
def test_a_model_without_token_types_gets_none(backbone):
    (batch,) = drawn_inputs(tiny_config(backbone), 0.5, seed=0).batches("padded", 2, 8, 1)
    assert batch.keys() == {"input_ids", "attention_mask"}
    assert (batch["input_ids"][batch["attention_mask"] == 0] == tiny_config(backbone).pad_token_id).all()


def test_an_artifact_is_timed_on_its_evaluation_split(retrained, pair):
    inputs = choose_inputs(str(retrained), pair, 0.5, seed=0)
    assert inputs.description == "folder: drawn from the 14 inputs of dev"
    (batch,) = inputs.batches("padded", 20, 10, count=1)
    assert batch["input_ids"].shape == (20, 10)
    assert "labels" not in batch
    assert max(real(batch)) == 10
    assert min(real(batch)) == 3


def test_the_seed_draws_from_the_split(retrained):
    draws = [
        tuple(map(tuple, split_inputs(Subject(str(retrained), seed=seed)).rows(16, 5)["input_ids"]))
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_without_its_data_lengths_are_drawn(tiny_checkpoint, pair, caplog):
    inputs = choose_inputs(str(tiny_checkpoint), pair, 0.5, seed=0)
    assert inputs.description.startswith("words drawn at random")
    assert "inputs are drawn" in caplog.text


def test_several_choices_cannot_be_drawn(tiny_checkpoint):
    host = AutoModelForMultipleChoice.from_config(tiny_config())
    with pytest.raises(ConfigError, match="dataset"):
        choose_inputs(str(tiny_checkpoint), Pair("choices", host), 0.5, seed=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_suits_the_models(protocol, pair, inputs):
    for batch in inputs.batches(protocol, 2, 12, count=2):
        assert ("attention_mask" in batch) == (protocol != "full")
        with torch.inference_mode():
            assert pair.host()(**batch).logits.shape == (2, 2)
