"""Models of fewer encoders or fewer heads: what they compute, how they are saved, that they are smaller."""

import copy
from functools import partial

import pytest
import torch

from powerbert.base.errors import ConfigError, ModelError
from powerbert.measure import count_flops
from powerbert.models import (
    host_encoders,
    load_host_model,
    load_model,
    load_power_model,
    num_encoders,
    prune_heads,
    take_encoders,
    unique_encoders,
)

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs

HEADS = [[0, 2], [1], [0, 1, 3]]


def heads_of(model):
    return HEADS[: len(unique_encoders(model))]


def masked(model, heads):
    """The model with the output of all other heads set to zero."""
    for encoder, staying in zip(unique_encoders(model), heads, strict=True):
        mask = torch.zeros(encoder.heads)
        mask[staying] = 1
        mask = mask.repeat_interleave(encoder.head_size)
        encoder.output_projection.register_forward_pre_hook(lambda _, inputs, mask=mask: (inputs[0] * mask,))
    return model


def prune(host):
    return prune_heads(host, heads_of(host))


def test_a_pruned_model_equals_the_masked_one(host, side):
    batch, heads = padded(ragged_inputs(), side=side), heads_of(host)
    pruned = prune(host)
    # The host pools a PAD in a left-padded batch; without elimination its power model finds [CLS].
    same = host if side == "right" else make_power(host, retention_configuration=[20, 20, 20])
    torch.testing.assert_close(pruned(**batch).logits, masked(same, heads)(**batch).logits, atol=1e-5, rtol=0)


def test_a_pruned_model_is_smaller(host):
    pruned = prune(host)
    assert pruned.num_parameters() < host.num_parameters()
    assert count_flops(pruned, 16) < count_flops(host, 16)
    for encoder, staying in zip(unique_encoders(pruned), heads_of(host), strict=True):
        assert encoder.heads == len(staying)
        assert encoder.output_projection.in_features == len(staying) * encoder.head_size


def test_a_pruned_model_is_saved_and_loaded_as_any_other(host, tmp_path):
    pruned, batch = prune(host), padded(ragged_inputs())
    pruned.save_pretrained(tmp_path)
    for load in (load_model, partial(load_host_model, num_labels=3), load_power_model):
        loaded = load(tmp_path)
        assert loaded.num_parameters() == pruned.num_parameters()
        torch.testing.assert_close(loaded(**batch).logits, pruned(**batch).logits, atol=1e-6, rtol=0)
    reduced = load_power_model(tmp_path, retention_configuration=[8, 5, 2])
    assert [len(row.positions[0]) for row in reduced.retained_word_vectors(**batch)] == [8, 5, 2]
    searching = load_power_model(tmp_path, soft_extract_length=12)
    assert searching.num_parameters() == pruned.num_parameters() + 3 * 12


def test_a_pruned_model_can_be_pruned_again(host):
    batch = padded(ragged_inputs())
    again = prune_heads(prune(host), [[0]] * len(heads_of(host)))
    expected = masked(host, [staying[:1] for staying in heads_of(host)])
    torch.testing.assert_close(again(**batch).logits, expected(**batch).logits, atol=1e-5, rtol=0)


def test_a_multiple_choice_model_can_be_pruned(tmp_path):
    pruned = prune_heads(make_host("bert", "multiple_choice"), HEADS)
    pruned.save_pretrained(tmp_path)
    batch = {name: value.unflatten(0, (2, 2)) for name, value in padded(ragged_inputs()).items()}
    assert torch.equal(load_model(tmp_path)(**batch).logits, pruned(**batch).logits)


@pytest.mark.parametrize("heads", [[1, 2], [0, 1, 2], [1, 2, 5]])
def test_numbers_of_heads_that_cannot_be_are_refused(heads):
    host = make_host("bert")
    with pytest.raises(ConfigError, match="encoder_heads"):
        make_power(host, encoder_heads=heads)


def test_some_encoders_can_be_taken(host, tmp_path):
    small, batch = take_encoders(copy.deepcopy(host), [0, 2]), padded(ragged_inputs())
    assert num_encoders(small.config) == len(host_encoders(small)) == 2
    small.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert torch.equal(loaded(**batch).logits, small(**batch).logits)
    assert count_flops(loaded, 16) < count_flops(host, 16)
    for taken, index in zip(host_encoders(loaded), [0, 2], strict=True):
        assert torch.equal(taken.query.weight, host_encoders(host)[index].query.weight)


def test_taken_encoders_keep_their_heads(tmp_path):
    small = take_encoders(prune_heads(make_host("bert"), HEADS), [0, 2])
    assert small.config.encoder_heads == [2, 3]
    small.save_pretrained(tmp_path)
    batch = padded(ragged_inputs())
    torch.testing.assert_close(load_model(tmp_path)(**batch).logits, small(**batch).logits)


def test_an_albert_of_several_groups_is_refused():
    model = make_host("albert", num_hidden_groups=3)
    with pytest.raises(ModelError, match="this albert model: its 3 encoders share 3 sets"):
        take_encoders(model, [0, 1])
