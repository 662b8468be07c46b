import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerbert.base.errors import ConfigError
from powerbert.elimination.selection import StaticSelection, random_order, validate_selection

ORDER = [0, 3, 5, 1, 2, 4]


def ragged(lengths, width, side="right"):
    """The mask of inputs of those lengths."""
    real = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    return real if side == "right" else real.flip(1)


def words(schedule, mask):
    """The positions of each input's words that leave each encoder, counted from its first word."""
    positions = mask.cumsum(dim=1) - 1
    encoders = []
    for retained in schedule:
        if retained is not None:
            indices, mask = retained
            positions = positions.gather(1, indices)
        encoders.append([row[real].tolist() for row, real in zip(positions, mask, strict=True)])
    return encoders


@pytest.mark.parametrize("side", ["right", "left"])
def test_retains_the_first_positions_of_the_order(side):
    mask = ragged([6, 2, 4], 6, side)
    schedule = StaticSelection(ORDER).schedule(mask, [4, 4, 2])
    assert words(schedule, mask) == [
        [[0, 1, 3, 5], [0, 1], [0, 1, 3]],
        [[0, 1, 3, 5], [0, 1], [0, 1, 3]],
        [[0, 3], [0], [0, 3]],
    ]
    shapes = [retained if retained is None else retained[0].shape for retained in schedule]
    assert shapes == [(3, 4), None, (3, 2)]


def test_gives_each_input_no_more_rows_than_the_longest_can_fill():
    indices, mask = StaticSelection(ORDER).schedule(ragged([4, 3], 4), [3])[0]
    assert indices[0].tolist() == [0, 3]  # of the positions 0, 3 and 5
    assert mask.tolist() == [[True, True], [True, False]]
    assert StaticSelection(ORDER).schedule(ragged([6, 1], 6), [6, 6]) == [None, None]
    assert StaticSelection(range(9)).schedule(ragged([6, 1], 6), [7, 6]) == [None, None]
    with pytest.raises(ValueError, match="inputs of 7 words, but only 6 positions"):
        StaticSelection(ORDER).schedule(ragged([6], 7), [3])


@given(
    order=st.integers(1, 9).flatmap(lambda n: st.permutations(range(1, n))).map(lambda order: [0, *order]),
    counts=st.lists(st.integers(1, 10), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    side=st.sampled_from(["right", "left"]),
    padding=st.integers(0, 3),
)
def test_is_the_same_for_each_input_alone_and_nested(order, counts, lengths, side, padding):
    lengths = [min(n, len(order)) for n in lengths]
    mask = ragged(lengths, min(max(lengths) + padding, len(order)), side)
    counts = sorted(counts, reverse=True)
    retained = words(StaticSelection(order).schedule(mask, counts), mask)
    for encoder, count in zip(retained, counts, strict=True):
        assert encoder == [sorted(p for p in order[:count] if p < n) for n in lengths]


def test_never_looks_at_a_value_and_has_no_state_of_its_own():
    assert StaticSelection(ORDER).state_dict() == {}
    mask = torch.empty(2, 5, dtype=torch.bool, device="meta")
    (first, _) = StaticSelection(ORDER).to("meta").schedule(mask, [3, 1])
    assert all(tensor.is_meta for tensor in first)


@given(length=st.integers(1, 64), seed=st.integers(0, 2**31))
def test_a_random_order_has_every_position_once_and_cls_first(length, seed):
    order = random_order(length, seed)
    assert order[0] == 0
    assert sorted(order) == list(range(length))


def test_a_random_order_depends_on_the_seed_alone():
    torch.manual_seed(3)
    first = random_order(64, seed=7)
    torch.manual_seed(4)
    assert random_order(64, seed=7) == first
    assert random_order(64, seed=8) != first
    assert first[1:] != sorted(first[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tail", None, False), "^selection: 'tail' is unknown; choose one of attn, head, rand"),
        (("head", None, True), "^selection: 'head' needs a given retention_configuration"),
        (("rand", ORDER, True), "^selection: 'rand' needs a given retention_configuration"),
        (("rand", None, False), "^selection_order must .* missing with 'rand'"),
        (("attn", ORDER, False), "^selection_order must .* given with 'attn'"),
        (("head", ORDER, True), "^selection: 'head'"),
        (("rand", [0, 2, 3], False), "^selection_order must hold every position"),
        (("rand", [0, 1, 1], False), "^selection_order must hold every position"),
        (("rand", [1, 0, 2], False), "^selection_order must .* beginning with 0"),
        (("rand", [], False), "^selection_order must hold every position"),
    ],
)
def test_an_invalid_selection_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        validate_selection(*arguments)


def test_a_valid_selection_is_accepted():
    validate_selection("attn", None, searches=True)
    for selection, order in (("attn", None), ("head", None), ("rand", ORDER)):
        validate_selection(selection, order, searches=False)
