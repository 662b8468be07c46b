"""What users of transformers do with any model, done with power models of every backbone."""

import inspect

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2ForSequenceClassification

import powerbert
from powerbert.base.errors import ConfigError
from powerbert.measure import count_flops
from powerbert.models import able_encoders, load_model

from .backbones import POSITIONS, TABLE, make_host, make_power
from .batches import padded, ragged_inputs


@pytest.fixture(params=sorted(TABLE))
def host(request):
    return make_host(request.param)


@pytest.fixture
def model(host):
    """An eliminating model of the host's weights; where all encoders may, the first eliminates."""
    first = 0.6 if able_encoders(host.config) is None else 1.0
    return make_power(host, retention_shares=[first, first, 0.2], cls_alone=True)


@pytest.fixture
def batch():
    return padded(ragged_inputs((9, 3, 12)))


def gradients(model, batch):
    """The gradients of one step, and how many values autograd keeps for it."""
    kept = []
    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        loss = model(**batch, labels=torch.tensor([0, 1, 2])).loss
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}, sum(kept)


def test_checkpointed_activations_are_computed_again(model, batch):
    expected, kept = gradients(model.train(), batch)
    model.activation_checkpointing_enable()
    found, still_kept = gradients(model, batch)
    assert still_kept < kept / 3
    torch.testing.assert_close(found, expected)


def test_peft_adapts_queries_and_values_by_default(host, batch):
    from peft import LoraConfig, TaskType, get_peft_model

    model = make_power(host, retention_shares=[1.0, 1.0, 0.2])
    expected = model(**batch).logits
    adapted = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS, r=2, lora_dropout=0.0)).eval()
    torch.testing.assert_close(adapted(**batch).logits, expected)
    added = [parameter for name, parameter in adapted.named_parameters() if ".lora_B." in name]
    assert added
    for parameter in added:
        nn.init.constant_(parameter, 0.5)
    assert not torch.allclose(adapted(**batch).logits, expected, atol=1e-3)
    adapted(**batch, labels=torch.tensor([0, 1, 2])).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in added)


def test_the_base_model_takes_the_host_s_arguments_in_its_order(host, model, batch):
    names = list(inspect.signature(host.base_model.forward).parameters)[:4]
    places = torch.arange(12).expand(3, 12)
    offset = int(getattr(host.base_model.embeddings, "padding_idx", None) or 0) + 1
    given = {
        **batch,
        "token_type_ids": torch.zeros_like(places),
        "position_ids": places + offset if host.config.model_type in ("roberta", "mpnet") else places,
        "inputs_embeds": None,
    }
    by_name = {name: given[name] for name in names}
    base = model.base_model
    torch.testing.assert_close(
        base(*by_name.values()).last_hidden_state, base(**by_name).last_hidden_state, rtol=0, atol=0
    )


def test_no_inputs_give_no_logits(model, batch):
    empty = {name: tensor[:0] for name, tensor in batch.items()}
    assert model(**empty).logits.shape == (0, 3)
    assert model(input_ids=empty["input_ids"]).logits.shape == (0, 3)
    assert [retained.mask.shape for retained in model.retained_word_vectors(**empty)] == [(0, 1)] * 3
    outputs = model.base_model(**empty, output_hidden_states=True)
    assert [len(states) for states in outputs.hidden_states] == [0] * 4


def test_tracing_is_refused_in_words(model, batch):
    with pytest.raises(ValueError, match=r"use torch\.export"):
        torch.jit.trace(model, (batch["input_ids"], batch["attention_mask"]), strict=False)


def test_a_saved_model_keeps_its_modeling_code(model, batch, tmp_path):
    model.save_pretrained(tmp_path / "first")
    load_model(tmp_path / "first").save_pretrained(tmp_path / "second")
    (code,) = (tmp_path / "first").glob("modeling_*.py")
    assert (tmp_path / "second" / code.name).read_text() == code.read_text()
    assert f'"{code.stem}.' in (tmp_path / "second" / "config.json").read_text()
    torch.testing.assert_close(load_model(tmp_path / "second")(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("speed", [1.5, 2.5])
def test_without_training_a_model_takes_so_many_times_fewer_operations(host, speed):
    if able_encoders(host.config) is not None and speed > 2:
        pytest.skip("two of three encoders eliminate, the last one retains [CLS] anyway")
    faster = powerbert.eliminate(host, speed=speed, length=40)
    ratio = count_flops(host, 40) / count_flops(faster, 40)
    assert ratio == pytest.approx(speed, rel=0.06)
    own, others = dict(faster.named_parameters()), dict(host.named_parameters())
    assert own.keys() == others.keys()
    assert all(own[name].data_ptr() == others[name].data_ptr() for name in own)


def test_at_speed_1_nothing_changes_but_operations(host, batch):
    faster = powerbert.eliminate(host, speed=1, length=40)
    assert faster.config.retention_shares == [1.0, 1.0, 0.0]
    torch.testing.assert_close(faster(**batch).logits, host(**batch).logits, rtol=1e-5, atol=1e-5)


def test_what_is_retained_may_be_given_as_counts_or_shares(host, batch):
    for name, retention in {
        "retention_configuration": [8, 8, 1],
        "retention_shares": [0.6, 0.6, 0.0],
    }.items():
        expected = make_power(host, **{name: retention}, cls_alone=True)(**batch).logits
        torch.testing.assert_close(powerbert.eliminate(host, retention)(**batch).logits, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "retention, speed: give one of them"),
        ({"retention": [5, 5, 1], "speed": 2}, "retention, speed: give one of them"),
        ({"speed": 0.5}, r"speed: 0\.5 must be a number at least 1"),
        ({"speed": 100}, r"speed: 100 is out of reach: .* takes \d+\.\d\d times fewer operations"),
        ({"speed": 2, "length": POSITIONS + 1}, f"length: {POSITIONS + 1} must be a whole number from 2 to"),
        ({"retention": [5, 5]}, "retention_configuration has 2 entries, but the model has 3 encoders"),
        ({"retention": [0.5, 0.6, 0.1]}, r"retention_shares grows from 0\.5 to 0\.6 at encoder 2"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tiny_bert, arguments, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        powerbert.eliminate(tiny_bert, **arguments)


def test_a_model_of_another_type_is_refused():
    config = GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=60)
    with pytest.raises(TypeError, match="no registered backbone has the model type 'gpt2'"):
        powerbert.eliminate(GPT2ForSequenceClassification(config), speed=2)
