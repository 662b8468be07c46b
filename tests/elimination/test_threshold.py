import pytest
import torch

from powerbert.elimination.threshold import SoftThreshold, mean_attention, positions_above

MASK = torch.tensor([[True] * 5, [True, True, True, False, False], [False, False, True, True, True]])
SCORES = torch.tensor([[0.1, 0.3, 0.2, 0.0, 0.4], [0.5, 0.1, 0.2, 0.9, 0.9], [0.9, 0.9, 0.1, 0.3, 0.1]])


@pytest.mark.parametrize(
    ("threshold", "positions", "kept"),
    [
        (0.2, [[0, 1, 2, 4], [0, 2], [2, 3]], 4),
        (0.3, [[0, 1, 4], [0], [2, 3]], 3),
        (0.95, [[0], [0], [2]], 1),
        (0.0, [[0, 1, 2, 3, 4], [0, 1, 2], [2, 3, 4]], 5),
    ],
)
def test_cls_and_the_words_that_reach_the_threshold_stay_in_order(threshold, positions, kept):
    found, mask = positions_above(SCORES, MASK, threshold)
    assert (found is None) is (kept == 5)
    found = torch.arange(5).expand(3, 5) if found is None else found
    assert found.shape == mask.shape == (3, kept)
    assert [row[own].tolist() for row, own in zip(found, mask, strict=True)] == positions
    assert (found.diff(dim=1) > 0).all()


def test_without_a_mask_every_word_is_real():
    found, mask = positions_above(SCORES[:1], None, 0.3)
    assert found.tolist() == [[0, 1, 4]]
    assert mask.all()


def test_an_input_of_padding_alone_retains_nothing_real():
    _, mask = positions_above(SCORES[:2], torch.tensor([[True] * 5, [False] * 5]), 0.2)
    assert mask.sum(dim=1).tolist() == [4, 0]


@pytest.fixture
def heads():
    """Queries and keys of three inputs, two heads and five words of size 4, in float64."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 2, 5, 4, generator=generator, dtype=torch.float64) * 2


def brute_force(heads, mask, words):
    query, key = heads
    scores = torch.zeros(3, 5, dtype=torch.float64)
    for b in range(3):
        real = [w for w in range(5) if mask[b, w]]
        for h in range(2):
            for q in real:
                weights = torch.stack([(query[b, h, q] @ key[b, h, w] / 2).exp() for w in real])
                for w, weight in zip(real, weights / weights.sum(), strict=True):
                    scores[b, w] += weight / (2 * words[b])
    return scores


def test_mean_attention_counts_the_words_of_the_whole_input(heads):
    words = torch.tensor([9, 3, 4])
    expected = brute_force(heads, MASK, words)
    torch.testing.assert_close(mean_attention(*heads, MASK, None, words)[MASK], expected[MASK])


def test_the_soft_mask_is_that_of_its_definition(heads):
    soft = SoftThreshold(2, temperature=0.05).double()
    soft.thresholds.data = torch.tensor([0.1, 0.3])
    extent = soft(*heads, MASK, None, encoder=1)
    expected = 1 / (1 + ((0.3 - brute_force(heads, MASK, MASK.sum(dim=1))) / 0.05).exp())
    expected[[0, 1, 2], [0, 0, 2]] = 1.0
    torch.testing.assert_close(extent, (expected * MASK).double(), atol=1e-7, rtol=0)


def test_gradients_reach_the_thresholds_and_the_attention(heads):
    soft = SoftThreshold(2, temperature=0.05).double()
    heads.requires_grad_()
    soft(*heads, MASK, None, encoder=1).sum().backward()
    assert soft.thresholds.grad[0] == 0
    assert soft.thresholds.grad[1] < 0
    assert heads.grad.any()


def test_a_low_temperature_is_hard(heads):
    words = MASK.sum(dim=1)
    scores = brute_force(heads, MASK, words)
    soft = SoftThreshold(1, temperature=1e-6).double()
    soft.thresholds.data.fill_(0.2)
    above = (scores >= 0.2) & MASK
    above[[0, 1, 2], [0, 0, 2]] = True
    torch.testing.assert_close(soft(*heads, MASK, None, encoder=0), above.double())
