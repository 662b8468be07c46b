import pytest

from powerbert.methods.distillation import evenly_spread, skip_map


@pytest.mark.parametrize(
    ("encoders", "k", "expected"),
    [
        (12, 6, [0, 2, 4, 7, 9, 11]),  # DistilBERT's own choice
        (12, 4, [0, 4, 7, 11]),
        (12, 3, [0, 6, 11]),
        (6, 3, [0, 3, 5]),
        (6, 2, [0, 5]),
        (6, 1, [0]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_student_begins_with_evenly_spread_encoders(encoders, k, expected):
    assert evenly_spread(encoders, k) == expected


@pytest.mark.parametrize(
    ("encoders", "k", "expected"),
    [
        (12, 6, [2, 4, 6, 8, 10]),  # PKD-Skip of the paper
        (12, 4, [3, 6, 9]),
        (12, 3, [4, 8]),
        (6, 3, [2, 4]),
        (6, 2, [3]),
        (6, 4, [2, 3, 5]),  # 1.5, 3, 4.5: halves up
        (6, 1, []),
    ],
)
def test_a_student_imitates_every_so_many_encoders(encoders, k, expected):
    assert skip_map(encoders, k) == expected


@pytest.mark.parametrize("encoders", range(1, 25))
def test_maps_increase_and_stay_inside_for_any_depth(encoders):
    for k in range(1, encoders + 1):
        spread, skip = evenly_spread(encoders, k), skip_map(encoders, k)
        assert len(spread) == k
        assert len(skip) == k - 1
        assert spread == sorted(set(spread))
        assert skip == sorted(set(skip))
        assert 0 <= spread[0] <= spread[-1] < encoders
        assert all(i <= place < encoders for i, place in enumerate(skip, start=1))
