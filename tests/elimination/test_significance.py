import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from powerbert.elimination.significance import (
    attention_probabilities,
    blockwise_significance,
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


BLOCKS = {"one row": 1, "two rows": 2 * 60, "an input": 300, "no whole number of rows": 200, "all": 10_000}
"""Sizes of blocks; a row of 3 heads and 5 keys has 60 bytes, the matrices of an input have 300."""


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
