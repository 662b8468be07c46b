"""Several labels an input, through the command lines, and in transformers' pipeline."""

import json
import shutil

import pytest
from transformers import pipeline

from powerbert.predict.predictor import Predictor
from powerbert.store.records import read_records
from tests.forked import command, door
from tests.made_up import LABEL_NAMES, write_labels
from tests.tiny_runs import LABELS

TEXT = "the film and the story is good worst"
QUICK = ("measure.runs=1", "measure.warmup=0", "measure.padded_batch_size=4", "measure.dynamic_batches=1")
NAMES = f"[{','.join(LABEL_NAMES)}]"
LAYOUTS = {
    "columns": LABELS,
    "lists": (LABELS[0], "dataset.source.label_column=labels", f"dataset.label_names={NAMES}"),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The record of a training from each layout of the same rows, with the folder of its final model."""
    root, found = tmp_path_factory.mktemp("labels"), {}
    data = write_labels(root / "data")
    for name, given in LAYOUTS.items():
        runs = root / name
        more = (*given, "elimination.retention_configuration=[20,10,4]", "dataset.evaluation_split=test")
        done = command(root / f"{name}-printed", data[name], runs, *more)
        assert done.wait() == 0, done.stderr
        assert "micro F1, %" in done.stdout
        (record,) = read_records(runs / "records")
        found[name] = record, runs / "artifacts" / record["artifacts"]["retrain"]
    return found


@pytest.fixture(scope="module")
def folder(records):
    return records["columns"][1]


def test_both_layouts_train_the_same_model(records):
    (one, _), (other, folder) = records.values()
    assert one["metric"] == other["metric"]
    assert one["metric"]["name"] == "micro_f1"
    assert one["metric"]["value"] > 0.7
    assert set(one["metric"]) > {"dev", "macro_f1", "accuracy", "per_class"}
    assert "any number of `toxic`, `insult`, `threat`" in (folder / "README.md").read_text()


def test_labels_of_a_text_and_of_a_file(folder, tmp_path):
    (tmp_path / "texts.csv").write_text(f"text\n{TEXT}\n")
    printed = []
    for given in (f"text={TEXT}", "input=texts.csv"):
        done = door(tmp_path, "powerbert.predict", f"artifact={folder}", given)
        assert done.wait() == 0, done.stderr
        printed.append(json.loads(done.stdout))
    assert printed[0] == printed[1]
    assert set(printed[0]) == {"text", "labels", "scores"}
    thresholds = json.loads((folder / "config.json").read_text())["label_thresholds"]
    scores = printed[0]["scores"]
    assert printed[0]["labels"] == [
        name for name, least in zip(LABEL_NAMES, thresholds, strict=True) if scores[name] >= least
    ]


@pytest.mark.parametrize("thresholds", [[0.5, 0.5], ["high", 0.5, 0.5], 0.5])
def test_thresholds_that_do_not_fit_the_labels_are_refused(folder, tmp_path, thresholds):
    shutil.copytree(folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | {"label_thresholds": thresholds}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    done = door(tmp_path, "powerbert.predict", "artifact=model", f"text={TEXT}")
    assert done.wait() == 1
    assert "label_thresholds: " in done.stderr
    assert "must be 3 numbers" in done.stderr


def test_the_pipeline_gives_the_same_probabilities(folder):
    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    (prediction,) = Predictor(folder)([(TEXT,)])
    assert {one["label"]: one["score"] for one in classify([TEXT])[0]} == pytest.approx(prediction["scores"])


@pytest.mark.parametrize(("format", "file"), [("onnx", "model.onnx"), ("torch_export", "model.pt2")])
def test_exported_files_are_checked_at_the_thresholds(records, folder, tmp_path, format, file):
    arguments = (f"artifact={folder}", f"format={format}", "check=test", "output=out", "threads=1")
    done = door(tmp_path, "powerbert.export", *arguments, *QUICK)
    assert done.wait() == 0, done.stderr
    found = json.loads((tmp_path / "out" / f"{file}.json").read_text())
    assert (found["labels_differing"], found["split"]) == (0, "test")
    assert found["metric"] == {"name": "micro_f1", "value": records["columns"][0]["metric"]["value"]}
    assert found["baseline"]["metric"] == records["columns"][0]["baseline"]["value"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert len(config["label_thresholds"]) == 3


def test_analyses_know_labels(folder, tmp_path):
    traced = door(tmp_path, "powerbert.analyse", "analysis=trace", f"artifact={folder}", "output=trace")
    assert traced.wait() == 0, traced.stderr
    assert "labelled " in traced.stdout
    finetuned = next(folder.parent.glob("*-finetune-*/manifest.json")).parent
    free = ("analysis=training_free", "analysis.speeds=[1.1]", "analysis.runs=1", f"artifact={finetuned}")
    done = door(tmp_path, "powerbert.analyse", *free, "output=free")
    assert done.wait() == 0, done.stderr
    assert "micro_f1" in (tmp_path / "free" / "training_free.csv").read_text()
    refused = door(tmp_path, "powerbert.analyse", "analysis=mutual_information", f"artifact={finetuned}")
    assert refused.wait() == 1
    assert "predicts several labels" in refused.stderr
