import pytest
import torch

from powerbert.elimination import significance_scores


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


def test_of_a_matrix_whose_rows_are_queries():
    # Every query attends to the last key alone: all significance is the last word's.
    attention = torch.zeros(1, 2, 3, 3)
    attention[..., 2] = 1.0
    assert significance_scores(attention).tolist() == [[0.0, 0.0, 6.0]]


def test_accumulates_half_precision_in_float32():
    attention = torch.full((1, 1, 4096, 2), 0.5, dtype=torch.bfloat16)
    scores = significance_scores(attention)
    assert scores.dtype == torch.float32
    assert scores.tolist() == [[2048.0, 2048.0]]  # bfloat16 would stop growing at 128


def test_is_not_differentiated(attention):
    assert not significance_scores(attention.requires_grad_()).requires_grad
