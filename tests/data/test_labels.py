import pytest

from powerbert.data.task import LabelParser

NAMES = ["entailment", "not_entailment"]


@pytest.mark.parametrize("value", ["not_entailment", "1", 1, 1.0, " 1 ", True])
def test_class_by_name_or_index(value):
    assert LabelParser(NAMES)(value) == 1


@pytest.mark.parametrize("value", ["2", -1, "-1", "neutral", "", None, 0.5, "1.0", float("nan"), [1]])
def test_label_outside_the_classes(value):
    with pytest.raises(ValueError, match=r"entailment, not_entailment"):
        LabelParser(NAMES)(value)


def test_names_that_are_numbers_are_names_only():
    stars = LabelParser([1, 2, 3, 4, 5])
    assert [stars(value) for value in ("1", 5, 3.0)] == [0, 4, 2]
    with pytest.raises(ValueError, match="'0' is not among the classes"):
        stars("0")


def test_names_that_are_truth_values():
    parse = LabelParser([False, True])
    assert [parse(value) for value in (True, False, "True", 1, "0")] == [1, 0, 1, 1, 0]


@pytest.mark.parametrize(("value", "number"), [("3.25", 3.25), (4, 4.0), ("-1e-3", -0.001)])
def test_regression(value, number):
    assert LabelParser(None)(value) == number


@pytest.mark.parametrize("value", ["", " ", None, "nan", float("inf"), "five", float("nan"), [1.0], 10**400])
def test_regression_needs_a_finite_number(value):
    with pytest.raises(ValueError, match="a regression needs one in every row"):
        LabelParser(None)(value)
