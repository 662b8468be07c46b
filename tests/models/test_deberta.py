"""DeBERTa: relative positions in the scores, in all forms that a config can choose."""

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.measure import count_flops
from powerbert.models import host_encoders, load_model, prune_heads

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs
from .reference import run_reference

LENGTHS = (20, 1, 9)
ABSOLUTE = {"relative_attention": False, "position_biased_input": True, "norm_rel_ebd": "none"}
KINDS = {
    "v3": {},
    "projections of their own": {"share_att_key": False},
    "content to position": {"share_att_key": False, "pos_att_type": ["c2p"]},
    "position to content": {"share_att_key": False, "pos_att_type": ["p2c"]},
    "every distance a bucket": {"position_buckets": -1},
    "far distances in one bucket": {"position_buckets": -1, "max_relative_positions": 6},
    "no norm": {"norm_rel_ebd": "none", "pos_att_type": "p2c|c2p"},
    "absolute positions too": {"position_biased_input": True, "type_vocab_size": 2, "embedding_size": 16},
    "absolute positions": ABSOLUTE | {"pos_att_type": None},
    "absolute positions, scaled": ABSOLUTE,
}
HARD = {"retention_configuration": [12, 6, 2]}
HEADS = [[0, 2], [1], [0, 1, 3]]


def deberta(**fields):
    return make_host("deberta-v2", **fields)


@pytest.fixture(params=KINDS)
def host(request):
    return deberta(**KINDS[request.param])


def test_it_is_the_host_if_it_retains_all(host):
    batch = padded(ragged_inputs(LENGTHS))
    expected = host(**batch).logits
    for fields in ({"cls_alone": True}, {"retention_configuration": [20] * 3}, {"soft_extract_length": 20}):
        model = make_power(host, **fields)
        if model.soft_extract is not None:
            torch.nn.init.ones_(model.soft_extract.retention_parameters)
        torch.testing.assert_close(model(**batch).logits, expected, atol=1e-5, rtol=0)


def test_positions_count_as_in_the_input_after_elimination(host, side):
    model = make_power(host, **HARD).double()
    batch = padded(ragged_inputs(LENGTHS), side=side)
    logits, retained = model(**batch).logits, model.retained_word_vectors(**batch)
    for b in range(len(LENGTHS)):
        expected = run_reference(
            model, *(batch[key][b].tolist() for key in ("input_ids", "attention_mask", "position_ids"))
        )
        torch.testing.assert_close(logits[b], expected.logits, atol=1e-10, rtol=0)
        assert [encoder.positions[b][encoder.mask[b]].tolist() for encoder in retained] == expected.retained


def test_buckets_of_long_inputs():
    host = deberta(num_hidden_layers=2, max_position_embeddings=512, position_buckets=64)
    batch = padded(ragged_inputs((400,)))
    model = make_power(host, retention_configuration=[400, 400])
    torch.testing.assert_close(model(**batch).logits, host(**batch).logits, atol=1e-5, rtol=0)


def test_heads_take_their_positions_along(host, tmp_path):
    batch = padded(ragged_inputs(LENGTHS))
    pruned = prune_heads(prune_heads(host, [[0, 2, 3], [1, 3], [0, 1, 3]]), [[0, 1], [0], [0, 1, 2]])
    assert [encoder.heads for encoder in host_encoders(pruned)] == [2, 1, 3]
    for encoder, kept in zip(host_encoders(host), HEADS, strict=True):
        mask = torch.zeros(4)
        mask[kept] = 1
        encoder.output_projection.weight.data *= mask.repeat_interleave(8)
    torch.testing.assert_close(pruned(**batch).logits, host(**batch).logits, atol=1e-5, rtol=0)
    pruned.save_pretrained(tmp_path)
    torch.testing.assert_close(load_model(tmp_path)(**batch).logits, pruned(**batch).logits)


def test_products_with_positions_are_counted(host):
    """The host's own code computes as many."""
    whole, less = (make_power(host, retention_configuration=r) for r in ([16] * 3, [8, 4, 2]))
    assert count_flops(whole, 16) == count_flops(host, 16) > count_flops(less, 16)


@pytest.mark.parametrize("fields", [HARD, {"soft_extract_length": 20}], ids=["hard", "soft"])
def test_trains(host, fields):
    model, batch = make_power(host, **fields).train(), padded(ragged_inputs((9, 12)))
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            model(**batch, labels=torch.tensor([0, 2])).loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # softmax is blind to a shift of all its scores
    assert all(name.endswith("key_proj.bias") for name in without)


@pytest.mark.parametrize("fields", [HARD, {"retention_shares": [0.8, 0.4, 0.0]}], ids=["counts", "shares"])
def test_runs_in_half_precision_compiled_and_without_waiting_for_the_device(fields):
    model, batch = make_power(deberta(share_att_key=False), **fields), padded(ragged_inputs(LENGTHS))
    with torch.inference_mode():
        expected = model(**batch).logits
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(**batch).logits, expected)
        assert model.to(torch.bfloat16)(**batch).logits.isfinite().all()
        assert model.to("meta")(**{key: value.to("meta") for key, value in batch.items()}).logits.is_meta


def test_an_input_of_padding_alone_disturbs_no_other():
    model, batch = make_power(deberta(), **HARD), padded(ragged_inputs(LENGTHS))
    expected = model(**batch).logits
    batch["attention_mask"][1] = 0
    logits = model(**batch).logits
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2]], expected[[0, 2]])


def test_a_convolution_is_refused_where_words_are_eliminated_or_heads_pruned():
    host, batch = deberta(conv_kernel_size=3), padded(ragged_inputs(LENGTHS))
    torch.testing.assert_close(make_power(host)(**batch).logits, host(**batch).logits)
    for use in (lambda: make_power(host, **HARD), lambda: prune_heads(host, HEADS)):
        with pytest.raises(ConfigError, match=r"^conv_kernel_size: 3 mixes neighbours"):
            use()
