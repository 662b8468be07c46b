import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerbert.elimination.extract import (
    cls_position,
    extract_mask,
    extract_rows,
    order_by_significance,
    ordered_positions,
    retained_positions,
)

ALL = torch.ones(1, 5, dtype=torch.bool)
LEFT_PADDED = torch.tensor([[False, False, True, True, True]])
SCORES = torch.tensor([[0.1, 0.5, 0.3, 0.9, 0.2]])
POSITIONS = torch.tensor([[0, 2, 3], [1, 2, 4]])


def test_cls_is_the_first_real_word_on_either_side():
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]]).bool()
    assert cls_position(mask).tolist() == [[0], [2], [0], [3]]


def test_ordered_positions_follow_decreasing_scores_after_cls():
    assert order_by_significance(SCORES, ALL, protect_cls=False).tolist() == [[3, 1, 2, 4, 0]]
    assert ordered_positions(SCORES, ALL, protect_cls=False).tolist() == [[4, 1, 2, 0, 3]]
    assert ordered_positions(SCORES, ALL).tolist() == [[0, 2, 3, 1, 4]]
    assert ordered_positions(SCORES, None).tolist() == [[0, 2, 3, 1, 4]]


def test_ties_keep_their_original_order():
    assert ordered_positions(torch.ones(1, 600)).tolist() == [list(range(600))]
    scores = torch.tensor([[0.0, 1.0, 2.0, 1.0, 2.0, 1.0]])
    assert order_by_significance(scores).tolist() == [[0, 2, 4, 1, 3, 5]]


def test_padding_comes_last_whatever_its_score():
    scores = torch.tensor([[9.0, 8.0, 0.1, 0.3, 0.2]])
    assert ordered_positions(scores, LEFT_PADDED).tolist() == [[3, 4, 0, 1, 2]]
    assert ordered_positions(scores, LEFT_PADDED, protect_cls=False).tolist() == [[3, 4, 2, 0, 1]]


@pytest.mark.parametrize(
    ("mask", "k", "positions"),
    [(None, 3, [0, 1, 3]), (ALL, 1, [0]), (LEFT_PADDED, 1, [2]), (ALL, 9, [0, 1, 2, 3, 4])],
)
def test_retains_cls_and_the_most_significant_in_their_original_order(mask, k, positions):
    assert retained_positions(SCORES, mask, k)[0].tolist() == [positions]


def test_an_input_of_fewer_words_is_filled_with_padding():
    mask = torch.tensor([[True, False, False, False, False]])
    assert retained_positions(SCORES, mask, 2)[0].tolist() == [[0, 1]]
    assert ordered_positions(SCORES, mask).tolist() == [[0, 1, 2, 3, 4]]


@given(
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]), min_size=1, max_size=8),
    left=st.integers(0, 4),
    right=st.integers(0, 4),
    protect_cls=st.booleans(),
)
def test_ranks_do_not_depend_on_padding(scores, left, right, protect_cls):
    alone = ordered_positions(torch.tensor([scores]), protect_cls=protect_cls)
    padded = torch.tensor([[3.0] * left + scores + [3.0] * right])
    mask = torch.tensor([[False] * left + [True] * len(scores) + [False] * right])
    ranks = ordered_positions(padded, mask, protect_cls=protect_cls)
    assert torch.equal(ranks[:, left : left + len(scores)], alone)
    assert sorted(ranks[0].tolist()) == list(range(left + len(scores) + right))


def test_protected_words_come_first_by_significance_and_padding_last():
    scores = torch.tensor([[5.0, 1.0, 9.0, 2.0, 8.0, 7.0]])
    mask = torch.tensor([[False, True, True, True, True, True]])
    protected = torch.tensor([[True, True, False, True, False, False]])
    order = order_by_significance(scores, mask, protected=protected)
    assert order.tolist() == [[1, 3, 2, 4, 5, 0]]
    order = order_by_significance(scores, mask, protect_cls=False, protected=protected)
    assert order.tolist() == [[3, 1, 2, 4, 5, 0]]
    assert retained_positions(scores, mask, 3, protected=protected)[0].tolist() == [[1, 2, 3]]
    assert ordered_positions(scores, mask, protected=protected).tolist() == [[5, 0, 2, 1, 3, 4]]


@pytest.mark.parametrize("function", [ordered_positions, lambda s, m: retained_positions(s, m, 3)[0]])
def test_never_looks_at_a_value(function):
    # A tensor on the meta device has no values: reading one, as .item() does, is an error there.
    scores, mask = torch.empty(2, 5, device="meta"), torch.empty(2, 5, dtype=torch.bool, device="meta")
    assert function(scores, mask).is_meta


def test_word_vectors_and_mask_are_taken_from_the_same_positions():
    hidden = torch.arange(2 * 5 * 4).view(2, 5, 4).float()
    mask = torch.tensor([[True, False, True, False, True], [False, True, False, False, True]])
    retained, retained_mask = extract_rows(hidden, POSITIONS), extract_mask(mask, POSITIONS)
    for b in range(2):
        for k, position in enumerate(POSITIONS[b]):
            assert torch.equal(retained[b, k], hidden[b, position])
            assert retained_mask[b, k] == mask[b, position]


def test_query_rows_are_taken_from_every_head_also_of_a_transposed_tensor():
    for attention in (torch.rand(2, 3, 5, 5), torch.rand(2, 3, 5, 5).transpose(2, 3)):
        retained = extract_rows(attention, POSITIONS.unsqueeze(1))
        assert torch.equal(retained, torch.stack([attention[b, :, POSITIONS[b]] for b in range(2)]))


def test_gradient_reaches_the_retained_rows_only():
    hidden = torch.rand(2, 5, 4, requires_grad=True)
    extract_rows(hidden, POSITIONS).sum().backward()
    expected = torch.zeros(2, 5, 4)
    expected[0, [0, 2, 3]] = 1.0
    expected[1, [1, 2, 4]] = 1.0
    assert torch.equal(hidden.grad, expected)


@pytest.mark.parametrize(
    ("own", "positions", "retained"),
    [
        (1, [0, 1, 3], [True, False, False]),
        (2, [0, 1, 3], [True, False, True]),
        (3, [0, 1, 3], [True, True, True]),
    ],
)
def test_what_an_input_retains_beyond_its_own_number_is_padding(own, positions, retained):
    found, mask = retained_positions(SCORES, ALL, 3, torch.tensor([own]))
    assert found.tolist() == [positions]
    assert mask.tolist() == [retained]


def test_padding_stays_padding_whatever_an_inputs_own_number():
    positions, mask = retained_positions(SCORES, LEFT_PADDED, 4, torch.tensor([4]))
    assert positions.tolist() == [[0, 2, 3, 4]]
    assert mask.tolist() == [[False, True, True, True]]
    assert retained_positions(SCORES, None, 3)[1] is None
