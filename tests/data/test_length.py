import pytest

from powerbert.data.tokenize import choose_max_length


@pytest.mark.parametrize(
    ("lengths", "covering", "chosen", "truncated"),
    [
        ([10] * 99 + [500], 10, 64, 0.01),  # exactly 1% is longer
        ([10] * 98 + [500] * 2, 500, 512, 0.0),  # 2% would be
        ([10] * 99, 10, 64, 0.0),
        ([10] * 98 + [200], 200, 256, 0.0),  # one of 99 is more than 1%
        (list(range(1, 1001)), 990, 512, 0.488),
        (list(range(1, 101)), 99, 128, 0.0),
        ([95] * 100, 95, 64, 1.0),  # 31 from 64, 33 from 128
        ([96] * 100, 96, 128, 0.0),  # as far from 64 as from 128
        ([192] * 100, 192, 256, 0.0),
        ([384] * 100, 384, 512, 0.0),
        ([383] * 100, 383, 256, 1.0),
        ([7], 7, 64, 0.0),
    ],
)
def test_length_rule(lengths, covering, chosen, truncated):
    choice = choose_max_length(lengths)
    assert (choice.covering, choice.max_length) == (covering, chosen)
    assert choice.truncated == pytest.approx(truncated)


def test_order_does_not_matter():
    lengths = list(range(1, 1001))
    assert choose_max_length(lengths[::-1]) == choose_max_length(lengths)


def test_model_that_takes_less():
    assert choose_max_length([400] * 100, longest=300).max_length == 256
    assert choose_max_length([400] * 100, longest=48).max_length == 48
