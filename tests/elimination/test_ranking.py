import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerbert.elimination import cls_position, order_by_significance, ordered_positions, retained_positions

ALL = torch.ones(1, 5, dtype=torch.bool)


def test_cls_is_the_first_real_word_on_either_side():
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]]).bool()
    assert cls_position(mask).tolist() == [[0], [2], [0], [3]]


def test_ordered_positions_follow_decreasing_scores():
    scores = torch.tensor([[0.1, 0.5, 0.3, 0.9, 0.2]])
    assert order_by_significance(scores, ALL, protect_cls=False).tolist() == [[3, 1, 2, 4, 0]]
    assert ordered_positions(scores, ALL, protect_cls=False).tolist() == [[4, 1, 2, 0, 3]]


def test_cls_takes_the_first_ordered_position_even_with_the_lowest_score():
    scores = torch.tensor([[0.1, 0.5, 0.3, 0.9, 0.2]])
    assert ordered_positions(scores, ALL).tolist() == [[0, 2, 3, 1, 4]]
    assert ordered_positions(scores, None).tolist() == [[0, 2, 3, 1, 4]]


def test_ties_keep_their_original_order():
    assert ordered_positions(torch.ones(1, 600)).tolist() == [list(range(600))]
    scores = torch.tensor([[0.0, 1.0, 2.0, 1.0, 2.0, 1.0]])
    assert order_by_significance(scores).tolist() == [[0, 2, 4, 1, 3, 5]]


def test_padding_comes_last_whatever_its_score():
    scores = torch.tensor([[9.0, 8.0, 0.1, 0.3, 0.2]])
    mask = torch.tensor([[False, False, True, True, True]])
    assert ordered_positions(scores, mask).tolist() == [[3, 4, 0, 1, 2]]
    assert ordered_positions(scores, mask, protect_cls=False).tolist() == [[3, 4, 2, 0, 1]]


def test_retains_the_most_significant_in_their_original_order():
    scores = torch.tensor([[0.1, 0.5, 0.3, 0.9, 0.2], [0.5, 0.4, 0.3, 0.2, 0.1]])
    assert retained_positions(scores, None, 3).tolist() == [[0, 1, 3], [0, 1, 2]]


def test_retains_cls_alone_when_one_is_retained():
    scores = torch.tensor([[0.1, 0.5, 0.3, 0.9, 0.2]])
    assert retained_positions(scores, ALL, 1).tolist() == [[0]]
    left_padded = torch.tensor([[False, False, True, True, True]])
    assert retained_positions(scores, left_padded, 1).tolist() == [[2]]


def test_retains_everything_when_asked_for_more_than_there_is():
    assert retained_positions(torch.rand(1, 5), ALL, 9).tolist() == [[0, 1, 2, 3, 4]]


def test_an_input_of_one_word_keeps_it():
    scores, mask = torch.tensor([[0.0, 7.0, 7.0]]), torch.tensor([[True, False, False]])
    assert retained_positions(scores, mask, 2).tolist() == [[0, 1]]
    assert ordered_positions(scores, mask).tolist() == [[0, 1, 2]]


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


@pytest.mark.parametrize("function", [ordered_positions, lambda s, m: retained_positions(s, m, 3)])
def test_never_looks_at_a_value(function):
    # A tensor on the meta device has no values: reading one, as .item() does, is an error there.
    scores, mask = torch.empty(2, 5, device="meta"), torch.empty(2, 5, dtype=torch.bool, device="meta")
    assert function(scores, mask).is_meta
