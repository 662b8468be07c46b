"""Every kind of task end to end, on tiny models: regression, classes, multiple choice, reranking."""

import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from powerbert.models import load_model
from powerbert.predict.predictor import Predictor
from powerbert.run.pipeline import run
from powerbert.run.settings import resolve
from powerbert.store.records import validate
from tests.made_up import LABEL_NAMES, write_labels, write_queries
from tests.run.test_settings import composed
from tests.tiny_runs import LABELS, RERANKING, TINY, train

SMALL = ("trainer.max_epochs=1", "lambda=0.1", "retention_learning_rate=0.1")


def written(folder: Path, labels: list[str]) -> Path:
    """Pairs of texts whose labels go round, in the layout of `dataset=folder`."""
    for split, rows in (("train", 48), ("dev", 24)):
        lines = ["first\tsecond\tlabel"]
        for number in range(rows):
            text = "the film is " + ("good " if number % 2 else "bad ") * (1 + number % 7)
            lines.append(f"{text}\tthe story was dull\t{labels[number % len(labels)]}")
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def finished(record: dict, runs: Path):
    assert set(record["artifacts"]) == {"finetune", "search", "retrain"}
    assert record["flops"]["ratio"] > 1
    model = load_model(runs / "artifacts" / record["artifacts"]["retrain"])
    assert model.config.retention_configuration == record["retention_configuration"]
    return model


def test_regression(tmp_path):
    corpus = written(tmp_path, ["0.5", "1.25", "3.0", "4.75", "5.0"])
    record = train(
        corpus,
        tmp_path / "runs",
        *SMALL,
        "dataset.text_columns=[first,second]",
        "dataset.label_names=null",
        "dataset.metric=spearman",
    )
    assert record["metric"]["name"] == "spearman"
    assert "pearson" in record["metric"]
    assert finished(record, tmp_path / "runs").config.num_labels == 1


def test_three_classes(tmp_path):
    corpus = written(tmp_path, ["contradiction", "neutral", "entailment"])
    record = train(
        corpus,
        tmp_path / "runs",
        *SMALL,
        "dataset.text_columns=[first,second]",
        "dataset.label_names=[contradiction,neutral,entailment]",
    )
    model = finished(record, tmp_path / "runs")
    assert model.config.id2label == {0: "contradiction", 1: "neutral", 2: "entailment"}


@pytest.mark.parametrize("backbone", ["bert", "albert"])
def test_multiple_choice_in_races_layout(tmp_path, backbone):
    for split, files in (("train", 6), ("dev", 2), ("test", 2)):
        folder = tmp_path / "race" / split / "high"
        folder.mkdir(parents=True)
        for number in range(files):
            article = {
                "id": f"high{number}.txt",
                "article": "the film was good and the story was great",
                "questions": ["The film was _ .", "how was the story?"],
                "options": [["good", "bad", "dull", "boring"], ["worst", "bad", "great", "dull"]],
                "answers": ["A", "C"],
            }
            (folder / f"{number}.txt").write_text(json.dumps(article), encoding="utf-8")
    race = ("dataset=race", f"dataset.source.folder={tmp_path / 'race'}", f"model.backbone={backbone}")
    record = run(resolve(composed(tmp_path / "runs", *race, *TINY, *SMALL, "batch_size=4")))
    model = finished(record, tmp_path / "runs")
    assert type(model).__name__.endswith("ForMultipleChoice")


TEACHER = (
    "method.teacher=finetune",
    "elimination.unit=share",
    "elimination.retention_configuration=[0.8,0.5,0.0]",
)
SUB_MODELS = ("method.epochs=1", "method.fewest_encoders=2", "method.evaluations=4", "method.cost=operations")


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    return write_queries(tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


METHODS = pytest.mark.parametrize(
    "method",
    [
        (),
        TEACHER,
        ("method=distilbert", "method.encoders=2"),
        ("method=bert_pkd", "method.encoders=2"),
        ("method=combined", "target_speedup=1.1", *SUB_MODELS),
        ("method=elastic", "method.speed=1.1", "method.speeds=[1,1.1]", *SUB_MODELS),
        ("method=head_prune", "method.pruned=0.4"),
        ("method=ltp", "method.regularization=0.1"),
    ],
    ids=lambda method: method[0] if method else "power_bert",
)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return write_labels(tmp_path_factory.mktemp("labels"))["columns"]


@METHODS
def test_several_labels(method, labelled, runs):
    split = "dataset.evaluation_split=test"
    record = train(labelled, runs, *SMALL, *LABELS, split, "class_weights=balanced", *method)
    validate(json.loads(json.dumps(record)))
    metric, names = record["metric"], list(LABEL_NAMES)
    assert metric["name"] == "micro_f1"
    assert record["config"]["class_weights"] == "balanced"
    folder = runs / "artifacts" / record["artifacts"]["retrain"]
    predict = Predictor(folder, speed=1.1 if "method=elastic" in method else None)
    for part in ("dev", "test"):
        rows = pd.read_csv(labelled / f"{part}.csv")
        found = predict([(text,) for text in rows["text"]])
        predicted = [[name in row["labels"] for name in names] for row in found]
        value = f1_score(rows[names], predicted, average="micro")
        assert value == pytest.approx(metric["dev" if part == "dev" else "value"])
    expected = precision_recall_fscore_support(rows[names], predicted, zero_division=0)
    for index, name in enumerate(names):
        *numbers, threshold = metric["per_class"][name].values()
        assert numbers == pytest.approx([column[index] for column in expected])
        assert threshold == predict.model.config.label_thresholds[index]
    assert set(record["baseline"]["per_class"]) == set(names)


@METHODS
def test_reranking(method, queries, runs):
    record = train(queries, runs, *SMALL, *RERANKING, *method)
    assert set(record["metric"]) == {"name", "value", "split", "dev", "mrr@10"}
    assert 0 < record["metric"]["value"] <= 1
    model = load_model(runs / "artifacts" / record["artifacts"]["retrain"])
    assert model.config.problem_type == "multi_label_classification"
    assert model.config.num_labels == 1


def test_the_words_of_a_query_are_protected_in_search_and_final_model(queries, runs, tokenizer):
    records = [
        train(queries, runs, *SMALL, *RERANKING, *more) for more in ((), ("elimination.protect=first_text",))
    ]
    for stage in ("search", "retrain"):
        plain, protected = (load_model(runs / "artifacts" / record["artifacts"][stage]) for record in records)
        assert plain.config.protected_until is None
        assert protected.config.protected_until == tokenizer.sep_token_id
