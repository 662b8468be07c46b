"""[CLS] alone in the last encoder: the same logits; and models made of others by `as_power_model`."""

import pytest
import torch

from powerbert.base.errors import ModelError
from powerbert.measure import count_flops
from powerbert.models import as_power_model, load_model, prune_heads, unique_encoders

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs
from .test_modeling import BINS, HARD, HEAD, RAND, SHARES, SOFT

FIELDS = {"none": {}, "hard": HARD, "shares": SHARES, "head": HEAD, "rand": RAND, "soft": SOFT, "bins": BINS}
UNPROTECTED = SOFT | {"soft_extract_protects_cls": False}

every_kind = pytest.mark.parametrize("fields", [*FIELDS.values(), UNPROTECTED], ids=[*FIELDS, "unprotected"])


def assert_same(one, other, side):
    batch = padded(ragged_inputs(), side=side)
    torch.testing.assert_close(one(**batch).logits, other(**batch).logits, atol=1e-5, rtol=0)


@every_kind
def test_the_logits_stay(power, fields, side):
    # The host of a left-padded batch reads a PAD; its power model that retains all words does not.
    whole = fields or {"retention_shares": [1.0, 1.0, 1.0]}
    assert_same(power(**fields, cls_alone=True), power(**whole), side)


def test_the_logits_of_a_pruned_model_stay(host):
    heads = [[0, 2], [1], [0, 1, 3]][: len(unique_encoders(host))]
    pruned = prune_heads(host, heads)
    alone = as_power_model(pruned, cls_alone=True)
    assert alone.config.encoder_heads == pruned.config.encoder_heads
    assert_same(alone, pruned, "right")


@pytest.mark.parametrize("fields", [{}, SHARES], ids=["none", "shares"])
def test_multiple_choice_too(fields):
    host = make_host("bert", "multiple_choice")
    batch = {name: value.view(2, 2, -1) for name, value in padded(ragged_inputs()).items()}
    one, other = (make_power(host, "multiple_choice", **fields, **more) for more in ({}, {"cls_alone": True}))
    torch.testing.assert_close(one(**batch).logits, other(**batch).logits, atol=1e-5, rtol=0)


def test_the_last_encoder_costs_less_and_retains_cls_alone(power):
    whole, alone = power(), power(cls_alone=True)
    assert count_flops(alone, 16) < count_flops(whole, 16)
    batch = padded(ragged_inputs())
    *_, last = alone.retained_word_vectors(**batch)
    assert last.positions.tolist() == [[0]] * 4
    assert last.mask.all()


@every_kind
def test_the_states_of_cls_alone_are_those_among_all(power, fields, side):
    if not fields:
        pytest.skip("a model that eliminates nothing is the host")
    model, batch = power(**fields), padded(ragged_inputs(), side=side)
    whole = model(**batch, output_hidden_states=True).hidden_states
    masks = [batch["attention_mask"].bool(), *(one.mask for one in model.retained_word_vectors(**batch))]
    model.base_model.only_cls_states = True
    states = model(**batch, output_hidden_states=True).hidden_states
    for own, state, mask in zip(states, whole, masks, strict=True):
        first = mask.int().argmax(dim=1)
        torch.testing.assert_close(own[:, 0], state[torch.arange(4), first])
        assert own.shape[1] == 1


@pytest.mark.parametrize("fields", [{"cls_alone": True}, SHARES, SHARES | {"cls_alone": True}, HARD, BINS])
def test_a_host_becomes_a_power_model_with_its_weights(host, power, fields):
    model = as_power_model(host, **fields)
    assert type(model) is type(power())
    own = dict(model.named_parameters())
    assert all(own[name].data_ptr() == value.data_ptr() for name, value in host.named_parameters())
    assert not model.training
    if "soft_extract_bins" not in fields:
        assert_same(model, power(**fields), "right")
    assert not hasattr(host.config, "cls_alone")


def test_a_power_model_gets_cls_alone_and_keeps_the_rest(power):
    model = as_power_model(power(**SHARES), cls_alone=True)
    assert (model.config.retention_shares, model.config.cls_alone) == (SHARES["retention_shares"], True)
    assert_same(model, power(**SHARES), "left")


@pytest.mark.parametrize("fields", [{"cls_alone": True}, SHARES | {"cls_alone": True}, BINS])
def test_it_is_loaded_as_it_was_saved(power, fields, tmp_path):
    model = power(**fields)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    for name in ("retention_shares", "cls_alone", "soft_extract_bins"):
        assert getattr(loaded.config, name) == getattr(model.config, name)
    batch = padded(ragged_inputs())
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


def test_weights_that_no_power_model_has_are_not_dropped_silently():
    host = make_host("bert")
    host.register_parameter("more", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(ModelError, match="do not fit PowerBertForSequenceClassification: more"):
        as_power_model(host, cls_alone=True)
