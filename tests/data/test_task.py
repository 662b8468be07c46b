from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError
from powerbert.data import Task
from powerbert.data.task import FlagParser, LabelParser, LabelsParser, find_classes, labels_of
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


LABELS = {"kind": "multi_label_classification", "metric": "micro_f1"}


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
    tasks = make_task(), regression, make_task(**CHOICE), make_task(**RANKING), make_task(**LABELS)
    assert [task.num_labels for task in tasks] == [2, 1, 4, 1, 2]
    assert [task.num_choices for task in tasks] == [1, 1, 4, 1, 1]
    assert [task.is_regression for task in tasks] == [False, True, False, False, False]
    assert [task.is_multiple_choice for task in tasks] == [False, False, True, False, False]
    assert [task.is_reranking for task in tasks] == [False, False, False, True, False]
    assert [task.is_multi_label for task in tasks] == [False, False, False, False, True]
    assert [task.has_binary_logits for task in tasks] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({}, "accuracy"),
        ({"label_names": None}, "spearman"),
        (RANKING, "ndcg@10"),
        (CHOICE, "accuracy"),
        (LABELS, "micro_f1"),
    ],
)
def test_the_metric_auto_is_that_of_the_kind(change, metric):
    fields = asdict(make_task()) | change | {"metric": "auto"}
    assert Task.from_config(fields).metric == metric


def test_the_classes_of_label_columns_are_their_names():
    fields = asdict(make_task(**LABELS)) | {"label_columns": ["toxic", "insult", "threat"]}
    assert Task.from_config(fields).label_names == ("toxic", "insult", "threat")
    with pytest.raises(ConfigError, match=r"^dataset\.label_columns: .*dataset\.kind=multi_label_class"):
        Task.from_config(fields | {"kind": "sequence_classification", "metric": "auto"})


def test_model_fields():
    assert make_task().model_fields() == {
        "id2label": {0: "negative", 1: "positive"},
        "label2id": {"negative": 0, "positive": 1},
        "problem_type": "single_label_classification",
    }
    labels = make_task(**LABELS)
    assert labels.model_fields() == make_task().model_fields() | {"problem_type": labels.kind}
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
        (LABELS | {"metric": "f1"}, r"dataset\.metric: 'f1' .* one of micro_f1, macro_f1, accuracy"),
        (LABELS | {"label_names": None}, r"dataset\.label_names: .*dataset\.label_columns"),
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


@pytest.mark.parametrize("mark", ["nan", "NaN", "NA", "null", "None"])
def test_a_mark_of_a_missing_value_among_numbers_is_no_class(mark):
    assert find_classes(Counter(["0", "1", mark])) == ("0", "1")
    assert find_classes(Counter(["1.0", "0.0", mark])) == ("0", "1")
    with pytest.raises(ValueError, match=f"'{mark}' is not among the classes"):
        LabelParser(("0", "1"))(mark)


def test_names_that_are_truth_values():
    parse = LabelParser([False, True])
    assert [parse(value) for value in (True, False, "True", 1, "0")] == [1, 0, 1, 1, 0]


TOPICS = ["toxic", "insult", "threat"]


@pytest.mark.parametrize(
    "value",
    [
        *(["toxic", "threat"], ["threat", "toxic"], [0, 2], [2, 0], ["0", "2"], [1.0, 0.0, 1.0]),
        *([1, 0, 1], [True, False, True], "toxic,threat", " threat , toxic ", "0,2", "['toxic', 'threat']"),
        '["toxic", "threat"]',
    ],
)
def test_several_classes_as_users_write_them(value):
    parser = LabelsParser(TOPICS)
    assert parser(value) == [1.0, 0.0, 1.0]
    assert parser.feature.length == 3


def test_another_separator_one_class_and_none():
    assert LabelsParser(TOPICS, "|")("toxic|threat") == [1.0, 0.0, 1.0]
    for none in ([], "", " ", "[]"):
        assert LabelsParser(TOPICS)(none) == [0.0, 0.0, 0.0]
    for one in (["insult"], "insult", 1, [1]):
        assert LabelsParser(TOPICS)(one) == [0.0, 1.0, 0.0]
    with pytest.raises(ConfigError, match=r"dataset\.source\.label_separator"):
        labels_of("multi_label_classification", TOPICS, "labels", separator="")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["toxic", "rude"], r"'rude' is not among the classes \(toxic, insult, threat\)"),
        ("toxic;threat", "'toxic;threat' is not among"),
        ([0, 3], "'3' is not among"),
        (None, r"is missing"),
        ([None], r"is missing"),
        ([1, 0, 2.5], "is not among"),
        ("toxic,toxic", "names a class twice"),
        ([["toxic"]], "is not among"),
    ],
)
def test_classes_that_cannot_be_meant(value, message):
    with pytest.raises(ValueError, match=message):
        LabelsParser(TOPICS)(value)


def test_two_numbers_of_two_classes_are_not_guessed():
    with pytest.raises(ValueError, match="may be two indices or a number for each class"):
        LabelsParser(["a", "b"])([0, 1])
    assert LabelsParser(["a", "b"])([0.0, 1.0]) == [0.0, 1.0]
    assert LabelsParser(["a", "b"])([0, 0]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("value", "flag"), [("0", 0), ("1", 1), (1, 1), (0.0, 0), ("1.0", 1), (True, 1), ("FALSE", 0), (" 1 ", 1)]
)
def test_columns_of_0_and_1(value, flag):
    assert labels_of("multi_label_classification", None, tuple(TOPICS))(value) == flag


@pytest.mark.parametrize("value", ["2", "", None, -1, 0.5, "yes", [1]])
def test_other_values_in_columns_of_0_and_1(value):
    with pytest.raises(ValueError, match=r"0 nor 1|0 or 1"):
        FlagParser(TOPICS)(value)


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
