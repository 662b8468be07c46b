from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError
from powerbert.data import Task
from powerbert.data.task import LabelParser, find_classes
from tests.data.conftest import make_task

CHOICE = {
    "kind": "multiple_choice",
    "text_columns": ("article", "choices"),
    "label_names": ("A", "B", "C", "D"),
}
RANKING = {
    "kind": "reranking",
    "text_columns": ("query", "passage"),
    "label_names": None,
    "metric": "mrr@10",
}


def test_from_config():
    fields = {"name": "stars", "kind": "sequence_classification", "metric": "f1", "max_length": "auto"}
    lists = {"text_columns": ["title", "body"], "label_names": [1, 2, 3]}
    cfg = OmegaConf.create(
        {**fields, **lists, "evaluation_split": "test", "source": {"_target_": "anything"}}
    )
    task = Task.from_config(cfg)
    assert task == Task("stars", ("title", "body"), ("1", "2", "3"), "f1", "auto", "test")
    assert hash(task) == hash(Task.from_config(cfg))


def test_kinds():
    regression = make_task(label_names=None, metric="spearman")
    tasks = make_task(), regression, make_task(**CHOICE), make_task(**RANKING)
    assert [task.num_labels for task in tasks] == [2, 1, 4, 1]
    assert [task.num_choices for task in tasks] == [1, 1, 4, 1]
    assert [task.is_regression for task in tasks] == [False, True, False, False]
    assert [task.is_multiple_choice for task in tasks] == [False, False, True, False]
    assert [task.is_reranking for task in tasks] == [False, False, False, True]


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
        ({"label_names": None}, r"dataset\.metric: 'accuracy' does not fit; choose one of spearman"),
        ({"label_names": ("one",)}, r"dataset\.label_names: \['one'\]"),
        ({"label_names": ("one", "one")}, r"dataset\.label_names"),
        ({"text_columns": ()}, r"dataset\.text_columns: \[\]"),
        (RANKING | {"text_columns": ("a", "b", "c")}, r"dataset\.text_columns: .* two columns"),
        ({"text_columns": ("a", "a")}, r"dataset\.text_columns"),
        (CHOICE | {"text_columns": ("article",)}, r"dataset\.text_columns: .* two columns \(text, choices\)"),
        (RANKING | {"text_columns": ("query",)}, r"dataset\.text_columns: .* two columns \(query, passage\)"),
        (RANKING | {"metric": "accuracy"}, r"dataset\.metric: 'accuracy' .* one of ndcg@10, mrr@10"),
        (CHOICE | {"label_names": None, "metric": "spearman"}, r"dataset\.label_names: multiple choice"),
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
    cfg = asdict(make_task()) | {"evaluation_split": "auto"}
    source = SimpleNamespace(has_labelled_test=lambda: labelled)
    assert Task.from_config(cfg, source).evaluation_split == split
    assert Task.from_config(cfg | {"evaluation_split": "dev"}, source).evaluation_split == "dev"
    assert Task.from_config(cfg, SimpleNamespace()).evaluation_split == "dev"


NAMES = ["entailment", "not_entailment"]


@pytest.mark.parametrize(
    "value", ["not_entailment", " Not_Entailment", "1", 1, 1.0, "1.0", "1.00", " 1 ", True, "TRUE"]
)
def test_class_by_name_or_index(value):
    assert LabelParser(NAMES)(value) == 1


@pytest.mark.parametrize("value", ["2", -1, "-1", "neutral", "", None, 0.5, "1e0", float("nan"), [1]])
def test_label_outside_the_classes(value):
    with pytest.raises(ValueError, match=r"entailment, not_entailment"):
        LabelParser(NAMES)(value)


def test_names_that_are_numbers_are_names_only():
    stars = LabelParser([1, 2, 3, 4, 5])
    assert [stars(value) for value in ("1", 5, 3.0)] == [0, 4, 2]
    with pytest.raises(ValueError, match="'0' is not among the classes"):
        stars("0")


def test_case_counts_where_names_differ_by_it():
    parse = LabelParser(["It", "IT", "other"])
    assert [parse(value) for value in ("It", "IT", "OTHER")] == [0, 1, 2]
    with pytest.raises(ValueError, match="'it' is not among the classes"):
        parse("it")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["1.0", "0.0", "1"], ("0", "1")),
        (["1.0", "0.5"], ("0.5", "1.0")),
        (["no", "null", "1e3"], ("1e3", "no", "null")),
        (["True", "False"], ("False", "True")),
        (["b", "A", "B", "B", "A"], ("A", "b")),
    ],
)
def test_classes_of_the_labels(labels, names):
    assert find_classes(Counter(labels)) == names
    parse = LabelParser(names)
    assert {parse(label) for label in labels} == set(range(len(names)))


def test_names_that_are_truth_values():
    parse = LabelParser([False, True])
    assert [parse(value) for value in (True, False, "True", 1, "0")] == [1, 0, 1, 1, 0]


@pytest.mark.parametrize(("value", "number"), [("3.25", 3.25), (4, 4.0), ("-1e-3", -0.001)])
def test_regression(value, number):
    assert LabelParser(None)(value) == number


@pytest.mark.parametrize("value", ["", " ", None, "nan", float("inf"), "five", float("nan"), [1.0], 10**400])
def test_regression_needs_a_finite_number(value):
    with pytest.raises(ValueError, match=r"dataset\.label_names=null needs one in every row"):
        LabelParser(None)(value)


def test_classes_of_auto_are_what_the_source_finds():
    cfg = asdict(make_task()) | {"label_names": "auto"}
    source = SimpleNamespace(class_names=lambda: ("a", "b", "c"))
    assert Task.from_config(cfg, source).label_names == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"^dataset\.label_names: auto needs dataset=folder"):
        Task.from_config(cfg, SimpleNamespace())
