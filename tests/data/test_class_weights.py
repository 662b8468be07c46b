"""Weights of the classes: given by the user, or from the counts of the training rows."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from sklearn.utils.class_weight import compute_class_weight

from powerbert.base.errors import ConfigError, DataError
from powerbert.data.class_weights import check_class_weights, weigh_classes
from tests.data.conftest import make_task

LABELS = make_task(kind="multi_label_classification", metric="micro_f1")


def train(labels) -> Dataset:
    return Dataset.from_dict({"label": labels})


def test_balanced_weights_are_those_of_scikit_learn():
    labels = [0, 0, 0, 1, 0, 2, 2]
    task = make_task(label_names=("a", "b", "c"))
    found = weigh_classes("balanced", task, train(labels))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert found[labels].mean().item() == pytest.approx(1)


def test_balanced_weights_of_labels_make_presence_count_as_much_as_absence():
    labels = torch.tensor([[1, 0], [0, 0], [0, 1], [0, 1], [0, 1]]).float()
    found = weigh_classes("balanced", LABELS, train(labels.tolist()))
    torch.testing.assert_close(found * labels.sum(0), (1 - labels).sum(0))


def test_given_weights_are_taken_and_none_are_none(task):
    assert weigh_classes(check_class_weights([1, 60], task), task, train([0])).tolist() == [1, 60]
    assert weigh_classes(check_class_weights(None, task), task, train([0])) is None


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        (make_task(), [0, 0], "no row of train has the class 'positive'"),
        (LABELS, [[1.0, 0.0], [0.0, 0.0]], "no row of train has the class 'positive'"),
        (LABELS, [[1.0, 1.0], [1.0, 0.0]], "every row of train has the class 'negative'"),
    ],
)
def test_what_cannot_be_balanced(task, labels, message):
    with pytest.raises(DataError, match=f"^class_weights: .*{message}"):
        weigh_classes("balanced", task, train(labels))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0], r"class_weights: 1 weights must be balanced, or 2 weights, of negative, positive"),
        ([1, 2, 3], "class_weights: 3 weights"),
        ("even", "class_weights: 'even'"),
        (2.0, r"class_weights: 2\.0"),
        ([1, 0], "class_weights, positive: 0 must be a number greater than 0"),
        (["1", 2], "class_weights, negative: '1' must be a number"),
    ],
)
def test_invalid_weights_are_refused_by_name(task, given, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        check_class_weights(given, task)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("regression", {"label_names": None, "metric": "spearman"}),
        ("reranking", {"kind": "reranking", "text_columns": ("a", "b"), "metric": "ndcg@10"}),
        ("multiple choice", {"kind": "multiple_choice", "text_columns": ("a", "b")}),
    ],
)
def test_tasks_without_classes_have_no_weights(kind, change):
    with pytest.raises(ConfigError, match=f"^class_weights: {kind} has no classes"):
        check_class_weights("balanced", make_task(**change))
