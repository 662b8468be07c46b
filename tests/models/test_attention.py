"""Attention and dropout on long inputs against brute force, and where PyTorch's own functions stay."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from powerbert.models import attention, host_encoders
from powerbert.models.attention import LEVELS, blockwise_attention, bytewise_dropout, quick_long_inputs
from powerbert.models.backbones.bert import PowerBertConfig, PowerBertForSequenceClassification
from powerbert.models.tiny import tiny_config

B, H, Q, N, E = 3, 4, 7, 9, 5
DROPOUT = 0.3
DROPPED = round(DROPOUT * LEVELS) / LEVELS
LONG = torch.ones(2, 129, dtype=torch.long)
SHORT = LONG[:, :128]

PADDINGS = {
    "none": None,
    "right": [slice(0, 9), slice(0, 4), slice(0, 1)],
    "left": [slice(2, 9), slice(8, 9), slice(0, 9)],
    "both": [slice(2, 7), slice(0, 9), slice(4, 6)],
}


def vectors(dtype=torch.float64, queries=Q, keys=N, size=E) -> tuple[Tensor, Tensor, Tensor]:
    """Random queries, keys and values, laid out as a projection leaves them."""
    draw = torch.Generator().manual_seed(1)
    shapes = [(B, queries, H, size), (B, keys, H, size), (B, keys, H, size)]
    drawn = [torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype) for shape in shapes]
    return tuple(tensor.transpose(1, 2).requires_grad_() for tensor in drawn)


def attend(query, key, value, spans=None, dropout=DROPOUT, seed=0) -> Tensor:
    torch.manual_seed(seed)
    spans = spans or [slice(0, key.shape[2])] * len(query)
    return blockwise_attention(query, key, value, spans, dropout)


def key_mask(spans, keys=N) -> Tensor:
    mask = torch.zeros(B, keys, dtype=torch.bool)
    for words, span in zip(mask, spans or [slice(None)] * B, strict=True):
        words[span] = True
    return mask


def kept(spans, queries=Q, keys=N) -> Tensor:
    """Which probabilities dropout keeps, read off the attention to the rows of a unit matrix."""
    query, key, _ = vectors(queries=queries, keys=keys)
    unit = torch.eye(keys, dtype=torch.float64).expand(B, H, keys, keys)
    padded = F.pad(query, (0, keys - E)), F.pad(key, (0, keys - E)), unit
    return attend(*padded, spans) > 0


def brute_force(query, key, value, spans, kept) -> Tensor:
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(~key_mask(spans, key.shape[2])[:, None, None], float("-inf"))
    return (scores.softmax(-1) * kept / (1 - DROPPED)) @ value


@pytest.mark.parametrize("block", [1, 300, 2**20])
@pytest.mark.parametrize("spans", PADDINGS.values(), ids=PADDINGS)
def test_output_and_gradients_are_those_of_brute_force(spans, block, monkeypatch):
    monkeypatch.setattr(attention, "BLOCK_BYTES", block)
    inputs = vectors()
    found, expected = attend(*inputs, spans), brute_force(*inputs, spans, kept(spans))
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad(found, inputs, weights)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, inputs, weights))


@pytest.mark.parametrize("spans", PADDINGS.values(), ids=PADDINGS)
def test_gradients_are_those_of_the_output(spans):
    torch.autograd.gradcheck(lambda *inputs: attend(*inputs, spans), vectors())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_lower_precisions_are_close(dtype, tolerance):
    spans = PADDINGS["right"]
    inputs, low = vectors(), vectors(dtype)
    expected, found = brute_force(*inputs, spans, kept(spans)), attend(*low, spans)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(expected)
    exact = torch.autograd.grad(expected, inputs, weights)
    for gradient, reference in zip(torch.autograd.grad(found, low, weights.to(dtype)), exact, strict=True):
        torch.testing.assert_close(gradient.double(), reference, rtol=tolerance, atol=tolerance)


def test_an_input_without_real_words_gets_zero_and_no_gradient():
    inputs = vectors()
    found = attend(*inputs, [slice(0, 9), slice(0, 0), slice(0, 9)])
    assert found[1].eq(0).all()
    assert found[0].ne(0).all()
    for gradient in torch.autograd.grad(found.sum(), inputs):
        assert gradient[1].eq(0).all()
        assert gradient.isfinite().all()


def test_each_probability_is_dropped_by_itself():
    drop = ~kept(None, queries=100, keys=100)
    share = drop.double().mean().item()
    assert share == pytest.approx(DROPPED, abs=4 * (DROPPED * (1 - DROPPED) / drop.numel()) ** 0.5)
    centred = drop.double().flatten() - DROPPED
    for distance in (1, 2, 4, 8, 100, 100 * 100):  # in a number of the generator, a word, a row, a head
        together = (centred[:-distance] * centred[distance:]).mean().item()
        assert abs(together) < 4 * DROPPED * (1 - DROPPED) / drop.numel() ** 0.5


def test_dropout_keeps_the_mean_and_passes_the_gradient_of_what_it_kept():
    values = torch.full((4, 200, 50), 2.0, requires_grad=True)
    torch.manual_seed(0)
    found = bytewise_dropout(values, DROPOUT)
    assert set(found.unique().tolist()) == {0.0, found.max().item()}
    assert found.max().item() == pytest.approx(2 / (1 - DROPPED))
    assert found.mean().item() == pytest.approx(2, rel=0.02)
    (gradient,) = torch.autograd.grad(found.sum(), values)
    torch.testing.assert_close(gradient, found.detach() / 2)


def masks(kind: str) -> Tensor | None:
    right = torch.arange(140) < torch.tensor([[140], [130]])
    return {
        "none": None,
        "keys": right[:, None, None],
        "queries": right[:, None, None].expand(2, 1, 140, 140).contiguous(),
        "holes": right.index_fill(1, torch.tensor([5]), False)[:, None, None],
        "causal": torch.ones(140, 140).tril().bool()[None, None],
        "numbers": torch.zeros(2, 1, 1, 140),
    }[kind]


def calls(mask, dropout, **more) -> tuple[Tensor, Tensor]:
    """PyTorch's function outside and within the block, from the same seed."""
    query = torch.randn(2, 2, 140, 8, generator=torch.Generator().manual_seed(0))
    results = []
    for words in (SHORT, LONG):
        torch.manual_seed(0)
        with quick_long_inputs(words):
            results.append(F.scaled_dot_product_attention(query, query, query, mask, dropout, **more))
    return results[0], results[1]


@pytest.mark.parametrize("kind", ["none", "keys", "queries"])
def test_long_inputs_with_dropout_draw_other_numbers(kind):
    own, quick = calls(masks(kind), 0.5)
    assert not torch.equal(own, quick)
    torch.testing.assert_close(own.mean(), quick.mean(), atol=0.02, rtol=0)
    assert torch.equal(quick, calls(masks(kind), 0.5)[1])


@pytest.mark.parametrize(
    ("kind", "dropout", "more"),
    [
        ("keys", 0.0, {}),
        ("keys", 1e-4, {}),
        ("holes", 0.5, {}),
        ("causal", 0.5, {}),
        ("numbers", 0.5, {}),
        ("none", 0.5, {"is_causal": True}),
    ],
)
def test_other_calls_are_left_to_pytorch(kind, dropout, more):
    own, left = calls(masks(kind), dropout, **more)
    assert torch.equal(own, left)


@pytest.mark.parametrize("words", [SHORT, LONG.to("meta")])
def test_short_inputs_and_other_devices_are_left_to_pytorch(words):
    values = torch.ones(2, 200, 8)
    torch.manual_seed(0)
    own = F.dropout(values)
    torch.manual_seed(0)
    with quick_long_inputs(words):
        assert torch.equal(own, F.dropout(values))


@pytest.mark.parametrize(
    "fields", [{}, {"soft_extract_length": 140}, {"retention_configuration": [135, 20, 1]}], ids=str
)
def test_models_train_on_long_inputs(fields):
    torch.manual_seed(0)
    config = PowerBertConfig(**tiny_config(max_position_embeddings=140, num_labels=2).to_dict(), **fields)
    model = PowerBertForSequenceClassification(config)
    words = torch.randint(5, 50, (2, 140), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(140) < torch.tensor([[140], [131]])
    batch = {"input_ids": words, "attention_mask": mask.long(), "labels": torch.tensor([0, 1])}
    evaluated = model.eval()(**batch).logits
    with quick_long_inputs(words):
        assert torch.equal(model(**batch).logits, evaluated)
        model.train()
        losses = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            with torch.autocast("cpu", torch.bfloat16):
                losses.append(model(**batch).loss)
    assert losses[0] == losses[1] != losses[2]
    losses[0].backward()
    for host in host_encoders(model):
        assert host.query.weight.grad.ne(0).any()
