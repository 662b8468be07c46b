"""`powerbert.train` from Python is the command's run: the same artifacts, record and messages."""

from pathlib import Path

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict
from hydra.core.global_hydra import GlobalHydra
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import powerbert
from powerbert.base.cli import as_overrides, composed
from powerbert.base.errors import ConfigError, DataError, UserError
from powerbert.data.memory import classes_of, write_splits
from powerbert.models.tiny import tiny
from powerbert.predict import Predictor
from tests.tiny_runs import artifacts, train

SMALL = {
    "dataset": {"max_length": 32},
    "batch_size": 8,
    "learning_rate": 1e-2,
    "trainer": {"max_epochs": 1, "enable_progress_bar": False},
    "measure": {"runs": 1, "warmup": 0, "padded_batch_size": 8, "dynamic_batches": 2},
}


@pytest.fixture(scope="module")
def frames(corpus) -> dict[str, pd.DataFrame]:
    return {split: pd.read_csv(corpus / f"{split}.tsv", sep="\t") for split in ("train", "dev")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def result(frames, runs) -> powerbert.Result:
    return powerbert.train("tiny", frames, method="dense", **SMALL, **{"paths.runs": runs})


def test_the_command_reuses_what_python_made_and_the_other_way_round(result, frames, runs):
    (folder,) = runs.glob("cache/tables/*")
    before = artifacts(runs)
    small = as_overrides({**SMALL, "lambda": 0.0003, "retention_learning_rate": 3e-3})
    record = train(folder, runs, "method=dense", "dataset.label_names=auto", *small)
    assert record == result.record
    again = powerbert.train("tiny", frames, method="dense", **SMALL, **{"paths.runs": runs})
    assert again.record == record
    assert artifacts(runs) == before


def test_the_result_evaluates_predicts_and_saves(result, frames, tmp_path):
    assert result.evaluate()["accuracy"] == result.score == result.record["metric"]["value"]
    assert result.evaluate(frames["dev"])["accuracy"] == result.score
    assert result.change == result.score - result.record["baseline"]["value"]
    assert not result.model.training
    result.save_pretrained(tmp_path / "saved")
    assert Predictor(tmp_path / "saved")([("is good",)]) == result.predict(["is good"])
    assert "accuracy" in repr(result)
    with pytest.raises(DataError, match="text_columns: dev has no column 'text'"):
        result.evaluate(pd.DataFrame({"body": ["good"], "label": [1]}))


def test_a_loaded_model_is_that_of_its_folder(result, frames, runs):
    model = AutoModelForSequenceClassification.from_pretrained(result.artifact)
    tokenizer = AutoTokenizer.from_pretrained(result.artifact)
    with pytest.raises(ConfigError, match="tokenizer"):
        powerbert.train(model, frames)
    further = powerbert.train(
        model, frames, tokenizer=tokenizer, method="dense", **SMALL, **{"paths.runs": runs}
    )
    assert further.record["model"] == result.artifact.name
    assert len(list(runs.glob("cache/models/*"))) == 1


def finished(folder, frames, runs, **more) -> powerbert.Result:
    """Makes a classifier faster that is fine-tuned already."""
    return powerbert.train(
        folder, frames, **SMALL, **more, **{"stages.finetune.max_epochs": 0, "paths.runs": runs}
    )


def test_a_finished_classifier_is_the_baseline_as_it_is(result, frames, runs):
    faster = finished(result.artifact, frames, runs, method="power_bert")
    assert faster.record["baseline"]["value"] == result.score
    assert faster.record["epochs"]["finetune"] == 0
    teacher = AutoModelForSequenceClassification.from_pretrained(
        runs / "artifacts" / faster.record["artifacts"]["finetune"]
    ).state_dict()
    given = AutoModelForSequenceClassification.from_pretrained(result.artifact).state_dict()
    assert all(teacher[name].equal(given[name]) for name in given)


def test_sub_models_of_a_finished_classifier_are_trained(result, frames, runs):
    small = {"method.fewest_encoders": 2, "method.evaluations": 2, "method.cost": "operations"}
    faster = finished(result.artifact, frames, runs, target_speedup=1.2, **small)
    assert faster.record["epochs"]["search"] == 3


def test_a_model_that_is_no_finished_classifier_of_the_data_is_refused(result, frames, runs, tmp_path):
    tiny(tmp_path / "bert")
    with pytest.raises(UserError, match=r"classifier\.weight.*needs a finished classifier"):
        finished(tmp_path / "bert", frames, runs)
    own = list(result.model.config.id2label.values())
    with pytest.raises(UserError, match=rf"label_names: .* are not the classes of .*{own[0]}"):
        finished(result.artifact, frames, runs, label_names=own[::-1])


def test_a_frame_and_a_dataset_of_the_same_rows_are_one_folder(frames, tmp_path):
    categories = {name: frame.astype({"text": "category"}) for name, frame in frames.items()}
    sets = DatasetDict({name: Dataset.from_pandas(frame) for name, frame in frames.items()})
    found = {write_splits(one, ["text"], ["label"], tmp_path) for one in (frames, categories, sets)}
    (folder,) = found
    assert {path.name for path in folder.iterdir()} == {"dev.parquet", "train.parquet"}


def test_the_labels_say_what_the_task_is(frames):
    rows = Dataset.from_dict({"text": ["a", "b"], "label": ["no", "yes"], "stars": [1.5, 2.0]})
    assert classes_of(rows.class_encode_column("label"), "label") == ["no", "yes"]
    assert classes_of(rows, "label") == classes_of(frames["train"], "label") == "auto"
    assert classes_of(rows, "stars") is None
    assert classes_of(rows.to_pandas(), "stars") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"traner": {"max_epochs": 1}}, "did you mean trainer.max_epochs?"),
        ({"text_column": "text"}, "text_column"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"method": "combind"}, "did you mean combined?"),
        ({"stage": "search"}, "stage"),
        (
            {"text_columns": ["review"]},
            "text_columns: train has no column 'review'; its columns are",
        ),
    ],
)
def test_a_mistake_is_an_error_with_the_message_of_the_command(arguments, message, frames, tmp_path):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        powerbert.train("tiny", frames, **arguments, **{"paths.runs": tmp_path})
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("data", ["snipets", [1, 2], {"test": pd.DataFrame()}])
def test_other_data_are_refused(data):
    with pytest.raises(UserError, match="data: "):
        powerbert.train("tiny", data)


def test_a_hydra_application_around_it_stays():
    with composed("train", ["paths.output=x"]):
        assert not GlobalHydra.instance().is_initialized()
    running = GlobalHydra.instance().hydra = object()
    try:
        texts = {"+model": {"note": 'a "b", ${c}'}, "dataset": {"source": {"path": Path("~/x, y")}}}
        with composed("train", ["dataset=folder", "paths.output=x", *as_overrides(texts)]) as cfg:
            assert cfg.model.note == 'a "b", ${c}'
            assert cfg.dataset.source.path == str(Path("~/x, y").expanduser())
        with pytest.raises(ConfigError), composed("train", ["sed=1"]):
            pass
        assert GlobalHydra.instance().hydra is running
    finally:
        GlobalHydra.instance().clear()
