import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from powerbert.analyse.information import entropy, mutual_information


def test_a_hand_computed_example():
    # Pr(X = 0) = 1/2, Pr(Y = 0) = 3/4; X = 0 always comes with Y = 0, X = 1 with either.
    joint = np.array([[4, 0], [2, 2]])
    expected = 1 / 2 * math.log(4 / 3) + 1 / 4 * math.log(2 / 3) + 1 / 4 * math.log(2)
    assert mutual_information(joint) == pytest.approx(expected)
    assert entropy(joint.sum(axis=1)) == pytest.approx(math.log(2))
    assert entropy(joint.sum(axis=0)) == pytest.approx(-3 / 4 * math.log(3 / 4) - 1 / 4 * math.log(1 / 4))


def test_independent_labels_share_nothing():
    assert mutual_information(np.outer([1, 3, 2], [5, 2, 4])) == pytest.approx(0, abs=1e-12)


def test_agreement_is_the_entropy_also_when_labels_are_swapped():
    counts = np.array([5, 1, 2])
    assert mutual_information(np.diag(counts)) == pytest.approx(entropy(counts))
    assert mutual_information(np.diag(counts)[:, [1, 2, 0]]) == pytest.approx(entropy(counts))


def test_one_label_only_has_no_information():
    assert mutual_information(np.array([[7, 0], [0, 0]])) == 0
    assert str(entropy(np.array([7, 0]))) == "0.0"


def test_agrees_with_scikit_learn():
    x, y = np.random.default_rng(0).integers(0, 4, (2, 300))
    y[:150] = x[:150]
    joint = np.zeros((4, 4), dtype=int)
    np.add.at(joint, (x, y), 1)
    assert mutual_information(joint) == pytest.approx(mutual_info_score(x, y))
