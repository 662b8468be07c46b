import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from powerbert.elimination.significance import (
    attention_probabilities,
    blockwise_significance,
    cls_significance,
    significance_scores,
)


@pytest.fixture
def attention():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 5, 5, generator=generator, dtype=torch.float64).softmax(dim=-1)


MASK = torch.tensor([[True, True, True, False, False], [False, True, True, True, True]])


@pytest.mark.parametrize("include_diagonal", [True, False])
@pytest.mark.parametrize("pad_queries", [True, False])
def test_sums_what_the_other_words_give_over_all_heads(attention, include_diagonal, pad_queries):
    scores = significance_scores(attention, MASK, include_diagonal=include_diagonal, pad_queries=pad_queries)
    for b in range(2):
        for w in range(5):
            expected = sum(
                attention[b, h, query, w].item()
                for h in range(3)
                for query in range(5)
                if (pad_queries or MASK[b, query]) and (include_diagonal or query != w)
            )
            assert scores[b, w].item() == pytest.approx(expected, abs=1e-12)


def test_every_query_counts_without_a_mask(attention):
    torch.testing.assert_close(significance_scores(attention), attention.sum(dim=(1, 2)))
    assert not significance_scores(attention.requires_grad_()).requires_grad


def test_accumulates_half_precision_in_float32():
    attention = torch.full((1, 1, 4096, 2), 0.5, dtype=torch.bfloat16)
    scores = significance_scores(attention)
    assert scores.dtype == torch.float32
    assert scores.tolist() == [[2048.0, 2048.0]]  # bfloat16 would stop growing at 128


@pytest.fixture
def projected():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 2, 3, 5, 4, generator=generator, dtype=torch.float64)
    return query, key


class Largest(TorchDispatchMode):
    """Keeps the size in bytes of the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.bytes = max(self.bytes, result.nbytes)
        return result


BLOCKS = {"one row": 1, "two rows": 80, "rows and a half": 140, "a matrix": 200, "four": 800, "all": None}
"""Sizes of blocks; a row of 5 keys has 40 bytes in float64, all 6 matrices have 1200."""


@pytest.mark.parametrize("block_bytes", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["all real", "ragged"])
@pytest.mark.parametrize("include_diagonal", [True, False])
@pytest.mark.parametrize("pad_queries", [True, False])
def test_blocks_sum_to_the_whole(projected, block_bytes, mask, include_diagonal, pad_queries):
    options = {"include_diagonal": include_diagonal, "pad_queries": pad_queries}
    expected = significance_scores(attention_probabilities(*projected, mask), mask, **options)
    scores = blockwise_significance(*projected, mask, **options, block_bytes=block_bytes)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("length", [64, 128])
def test_no_tensor_exceeds_the_block(length):
    query = torch.randn(3, 2, length, 1, dtype=torch.float32)
    limit = 2 * 64 * 64 * 4  # the matrices of one input of 64 words; half the query rows of one of 128
    with Largest() as largest:
        blockwise_significance(query, query, torch.ones(3, length, dtype=torch.bool), block_bytes=limit // 2)
    assert largest.bytes <= limit // 2
    with Largest() as largest:
        significance_scores(attention_probabilities(query, query, None))
    assert largest.bytes > limit, "the whole matrix would be larger"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_probabilities_are_float32_at_least(projected, dtype):
    attention = attention_probabilities(*(tensor.to(dtype) for tensor in projected), MASK)
    assert attention.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 3, 5, dtype=attention.dtype))
    assert not attention.masked_select(~MASK[:, None, None, :]).any()


def test_an_input_of_padding_alone_has_probabilities(projected):
    assert attention_probabilities(*projected, torch.zeros(2, 5, dtype=torch.bool)).isfinite().all()


def brute_force(query, key, mask, counts):
    """The attention at [b, h, query word, key word] in float64, summed where ``counts`` is true."""
    inputs, heads, length, size = query.shape
    result = torch.zeros(inputs, length, dtype=torch.float64)
    for b in range(inputs):
        for h in range(heads):
            for i in range(length):
                scores = key[b, h].double() @ query[b, h, i].double() / size**0.5
                row = scores.masked_fill(~mask[b], -torch.inf).softmax(dim=0)
                result[b] += row * torch.tensor([counts(b, i, w) for w in range(length)])
    return result


def random_case(seed, dtype, length=13):
    """Queries and keys, as split_heads lays them out, and a mask with padding on either side."""
    generator = torch.Generator().manual_seed(seed)
    query, key = torch.randn(2, 3, length, 2 * 8, generator=generator).to(dtype)
    real = torch.randint(1, length + 1, (3, 1), generator=generator)
    mask = torch.arange(length) < real
    mask[1] = mask[1].flip(0)
    heads = (tensor.unflatten(-1, (2, 8)).transpose(1, 2) for tensor in (query, key))
    return *heads, mask


TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 0.1}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block_bytes", [1, 150, None])
def test_equals_brute_force(dtype, seed, block_bytes):
    query, key, mask = random_case(seed, dtype)
    options = {"include_diagonal": seed != 1, "pad_queries": seed == 2}
    scores = blockwise_significance(query, key, mask, **options, block_bytes=block_bytes)
    expected = brute_force(
        query, key, mask, lambda b, i, w: (mask[b, i] or seed == 2) and (seed != 1 or i != w)
    )
    assert scores.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(scores[mask].double(), expected[mask], rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("seed", range(3))
def test_cls_significance_equals_brute_force(dtype, seed):
    query, key, mask = random_case(seed, dtype)
    first = mask.int().argmax(dim=1)
    scores = cls_significance(query.requires_grad_(), key, mask)
    assert not scores.requires_grad
    assert scores.dtype == torch.promote_types(dtype, torch.float32)
    expected = brute_force(query.detach(), key, mask, lambda b, i, w: i == first[b])
    torch.testing.assert_close(scores.double(), expected, rtol=0, atol=TOLERANCES[dtype])
    everywhere = torch.ones_like(mask)
    torch.testing.assert_close(cls_significance(query, key), cls_significance(query, key, everywhere))


def test_sums_of_many_rows_are_as_exact_as_one_rounding():
    query, key, mask = random_case(0, torch.float32, length=700)
    exact = blockwise_significance(query.double(), key.double(), mask)
    scores = blockwise_significance(query, key, mask)
    error = ((scores - exact).abs() / exact)[mask]
    assert error.mean() < torch.finfo(torch.float32).eps


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_does_not_round_the_probabilities(dtype):
    query, key, mask = random_case(0, dtype, length=150)
    expected = blockwise_significance(query, key, mask)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(blockwise_significance(query, key, mask), expected)


@pytest.mark.parametrize("score", [blockwise_significance, cls_significance])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
def test_extreme_scores_and_padding_alone_are_finite(score, dtype, size):
    query, key, mask = random_case(0, dtype)
    mask[2] = False
    assert score(query * size, key * size, mask).isfinite().all()
    assert score(query * size, -key.abs() * size, mask).isfinite().all()


def test_a_large_score_of_padding_does_not_count():
    query, key, mask = random_case(0, torch.float32)
    louder = torch.where(mask[:, None, :, None], key, 1e4 * query)
    expected = blockwise_significance(query, key, mask)[mask]
    torch.testing.assert_close(blockwise_significance(query, louder, mask)[mask], expected)
