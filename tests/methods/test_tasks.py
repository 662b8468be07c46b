"""PoWER-BERT end to end on every kind of task, on tiny models: regression, three classes, multiple choice."""

import json
from pathlib import Path

import pytest

from powerbert.models import load_model
from powerbert.run.pipeline import run
from powerbert.run.settings import resolve
from tests.run.test_settings import composed
from tests.tiny_runs import TINY, train

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
