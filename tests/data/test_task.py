from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError
from powerbert.data import Task
from tests.data.conftest import make_task

CHOICE = {
    "kind": "multiple_choice",
    "text_columns": ("article", "choices"),
    "label_names": ("A", "B", "C", "D"),
}


def test_from_config():
    cfg = OmegaConf.create(
        {
            "name": "stars",
            "kind": "sequence_classification",
            "text_columns": ["title", "body"],
            "label_names": [1, 2, 3],
            "metric": "f1",
            "max_length": "auto",
            "evaluation_split": "test",
            "source": {"_target_": "anything"},
        }
    )
    task = Task.from_config(cfg)
    assert task == Task(
        "stars", ("title", "body"), ("1", "2", "3"), "f1", "auto", "test", "sequence_classification"
    )
    assert hash(task) == hash(Task.from_config(cfg))


def test_kinds():
    classes, regression, choice = (
        make_task(),
        make_task(label_names=None, metric="spearman"),
        make_task(**CHOICE),
    )
    assert [task.num_labels for task in (classes, regression, choice)] == [2, 1, 4]
    assert [task.num_choices for task in (classes, regression, choice)] == [1, 1, 4]
    assert [task.is_regression for task in (classes, regression, choice)] == [False, True, False]
    assert [task.is_multiple_choice for task in (classes, regression, choice)] == [False, False, True]


def test_model_fields():
    assert make_task().model_fields() == {
        "id2label": {0: "negative", 1: "positive"},
        "label2id": {"negative": 0, "positive": 1},
        "problem_type": "single_label_classification",
    }
    regression = make_task(label_names=None, metric="pearson")
    assert regression.model_fields() == {"num_labels": 1, "problem_type": "regression"}


def test_influence_is_everything_but_the_name():
    task = make_task()
    assert task.influence() == make_task(name="other").influence()
    changes = [{"text_columns": ("b",)}, {"label_names": ("x", "y")}, {"metric": "f1"}, {"max_length": 9}]
    for change in [*changes, {"evaluation_split": "test"}, CHOICE]:
        assert make_task(**change).influence() != task.influence(), change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ranking"}, r"dataset\.kind: 'ranking'"),
        ({"evaluation_split": "train"}, r"dataset\.evaluation_split: 'train'"),
        ({"metric": "spearman"}, r"dataset\.metric: 'spearman' does not fit; choose one of accuracy"),
        (
            {"metric": "accuracy", "label_names": None},
            r"dataset\.metric: 'accuracy' does not fit; choose one of spear",
        ),
        ({"label_names": ("one",)}, r"dataset\.label_names: \['one'\]"),
        ({"label_names": ("one", "one")}, r"dataset\.label_names"),
        ({"text_columns": ()}, r"dataset\.text_columns: \[\]"),
        ({"text_columns": ("a", "b", "c")}, r"dataset\.text_columns"),
        ({"text_columns": ("a", "a")}, r"dataset\.text_columns"),
        (CHOICE | {"text_columns": ("article",)}, r"dataset\.text_columns: .* two columns \(text, choices\)"),
        (
            CHOICE | {"label_names": None, "metric": "spearman"},
            r"dataset\.label_names: multiple choice needs",
        ),
        ({"max_length": 2}, r"dataset\.max_length: 2 must be 'auto' or a whole number"),
        ({"max_length": "long"}, r"dataset\.max_length: 'long'"),
        ({"max_length": 64.0}, r"dataset\.max_length: 64\.0"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(change, message):
    with pytest.raises(ConfigError, match=message):
        make_task(**change)


@pytest.mark.parametrize(("labelled", "split"), [(True, "test"), (False, "dev")])
def test_split_of_auto_is_what_the_source_has(labelled, split):
    cfg = {
        "name": "reviews",
        "text_columns": ["text"],
        "label_names": ["bad", "good"],
        "metric": "accuracy",
        "max_length": 8,
        "evaluation_split": "auto",
        "kind": "sequence_classification",
    }
    source = SimpleNamespace(has_labelled_test=lambda: labelled)
    assert Task.from_config(cfg, source).evaluation_split == split
    assert Task.from_config(cfg | {"evaluation_split": "dev"}, source).evaluation_split == "dev"
    assert Task.from_config(cfg, SimpleNamespace()).evaluation_split == "dev"
