"""The files for GLUE's server, from untrained models on small test sets in GLUE's own layout."""

import logging
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError
from powerbert.data import Task
from powerbert.predict.__main__ import predict
from powerbert.predict.glue_submission import TEST_SETS, format_predictions, write_submission
from powerbert.predict.predictor import Predictor
from tests.data.glue_files import EXPECTED, FILES
from tests.untrained import dataset_settings

NLI, TWO_WAY, INDEX = {"entailment", "neutral", "contradiction"}, {"entailment", "not_entailment"}, {"0", "1"}
WORDS = {"CoLA.tsv": INDEX, "MRPC.tsv": INDEX, "QQP.tsv": INDEX, "SST-2.tsv": INDEX, "WNLI.tsv": INDEX}
WORDS |= {"AX.tsv": NLI, "MNLI-m.tsv": NLI, "MNLI-mm.tsv": NLI, "QNLI.tsv": TWO_WAY, "RTE.tsv": TWO_WAY}
ROWS = 7


@pytest.fixture
def glue(tmp_path, monkeypatch):
    """GLUE_DIR with every task, and no hub; the rows of the test sets are of uneven length."""
    for task, files in FILES.items():
        test = EXPECTED[task]["test"]
        text = next(iter(test.values()))[0]
        for name, content in files.items():
            if "test" in name or task == "ax":
                header, row = content.splitlines()
                rows = [
                    row.replace(text, f"{text} it is a film" * (number * 3 % ROWS)) for number in range(ROWS)
                ]
                content = "\n".join([header, *rows]) + "\n"
            path = tmp_path / "glue" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    monkeypatch.setenv("GLUE_DIR", str(tmp_path / "glue"))
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", Mock(side_effect=OSError("no network")))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub-cache")
    return tmp_path / "glue"


@pytest.fixture
def written(tmp_path):
    """Writes a submission; the lines of each file."""

    def write(*artifacts):
        write_submission(artifacts, tmp_path / "out", tmp_path / "cache", batch_size=2)
        return {path.name: path.read_text().splitlines() for path in (tmp_path / "out").iterdir()}

    return write


def test_all_eleven_files(glue, artifact, written, caplog):
    assert set(TEST_SETS) == set(FILES)
    tasks = [task for task in TEST_SETS if task not in ("mnli_mm", "ax")]
    with caplog.at_level(logging.INFO):
        files = written(*(artifact(task) for task in tasks))
    assert set(files) == set(WORDS) | {"STS-B.tsv"}
    for name, (header, *lines) in files.items():
        assert header == "index\tprediction"
        assert [line.split("\t")[0] for line in lines] == [str(number) for number in range(ROWS)]
        predictions = [line.split("\t")[1] for line in lines]
        if name == "STS-B.tsv":
            assert all(0 <= float(value) <= 5 and len(value) == len("0.000") for value in predictions)
        else:
            assert set(predictions) <= WORDS[name]
    assert "all 11 files are there" in caplog.text
    assert "the test set of 'qqp' has 7 rows instead of GLUE's 390965" in caplog.text


def test_predictions_are_in_the_order_of_the_test_set(glue, artifact, written):
    folder = artifact("stsb")
    _, *lines = written(folder)["STS-B.tsv"]
    predictor = Predictor(folder)
    _, *rows = (glue / "STS-B" / "test.tsv").read_text().splitlines()
    alone = [predictor([tuple(row.split("\t")[-2:])])[0]["value"] for row in rows]
    assert len(set(alone)) > ROWS / 2
    assert [float(line.split("\t")[1]) for line in lines] == pytest.approx(np.clip(alone, 0, 5), abs=2e-3)


@pytest.mark.parametrize("task", ["mnli_m", "mnli_mm"])
def test_one_model_of_mnli_predicts_three_test_sets(glue, artifact, written, task):
    files = written(artifact(task))
    assert set(files) == {"MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"}
    assert files["MNLI-m.tsv"] != files["MNLI-mm.tsv"]


def test_each_model_of_mnli_predicts_its_own(glue, artifact, written, caplog):
    with caplog.at_level(logging.INFO):
        files = written(artifact("mnli_m"), artifact("mnli_mm"))
    assert set(files) == {"MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"}
    assert caplog.text.count(" predictions") == 3


def test_what_is_not_available_is_left_out_and_named(glue, artifact, written, caplog):
    (glue / "AX" / "AX.tsv").unlink()
    with caplog.at_level(logging.INFO):
        assert set(written(artifact("mnli_m"), artifact("rte"))) == {"MNLI-m.tsv", "MNLI-mm.tsv", "RTE.tsv"}
    assert "AX.tsv is left out: " in caplog.text
    missing = caplog.text.partition("missing: ")[2].splitlines()[0]
    assert missing == "CoLA.tsv, SST-2.tsv, MRPC.tsv, STS-B.tsv, QQP.tsv, QNLI.tsv, WNLI.tsv, AX.tsv"


def test_a_task_without_a_test_set_is_noticed_before_any_is_predicted(glue, artifact, written, tmp_path):
    (glue / "RTE" / "test.tsv").unlink()
    with pytest.raises(DataError, match="dataset 'rte' has no test set in GLUE_DIR="):
        written(artifact("cola"), artifact("rte"))
    assert not (tmp_path / "out").exists()


def test_the_labelled_test_set_of_sst2_is_in_another_order(glue, artifact, written):
    (glue / "SST-2" / "test.tsv").unlink()
    (glue / "SST-2" / "test_labelled.tsv").write_text("sentence\tlabel\na film\t1\n")
    with pytest.raises(DataError, match=r"test_labelled\.tsv is not in the order of GLUE's test set"):
        written(artifact("sst2"))


def test_a_submission_takes_the_unlabelled_test_set(glue, artifact, written):
    (glue / "SST-2" / "test_labelled.tsv").write_text("sentence\tlabel\na film\t1\n")
    assert len(written(artifact("sst2"))["SST-2.tsv"]) == 1 + ROWS


def test_artifacts_that_are_not_one_of_each_task_of_glue(artifact, written):
    with pytest.raises(ConfigError, match=r"^artifact: .* was trained on 'snippets', not on a task of GLUE"):
        written(artifact("snippets"))
    with pytest.raises(ConfigError, match=r"^artifact: both .* were trained on 'rte'"):
        written(artifact("rte"), artifact("rte"))


def test_output_that_is_a_file(artifact, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ConfigError, match=r"^output: .* is a file; give a folder"):
        write_submission([artifact("rte")], tmp_path / "out", tmp_path / "cache")


def test_similarity_stays_within_its_scale(tmp_path):
    values = torch.tensor([[-0.2], [-0.0001], [3.14159], [5.2]])
    task = Task.from_config(dataset_settings("stsb", tmp_path))
    assert format_predictions(TEST_SETS["stsb"], task, values) == ["0.000", "0.000", "3.142", "5.000"]


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("rte", "rte", ["not_entailment", "entailment"]),
        ("qnli", "qnli", ["not_entailment", "entailment"]),
        ("wnli", "wnli", ["1", "0"]),
        ("mrpc", "mrpc", ["1", "0"]),
        ("ax", "mnli_m", ["contradiction", "entailment"]),
    ],
)
def test_labels_are_the_servers(name, model, expected, tmp_path):
    logits = torch.tensor([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])[:, : 3 if name == "ax" else 2]
    task = Task.from_config(dataset_settings(model, tmp_path))
    assert format_predictions(TEST_SETS[name], task, logits) == expected


@pytest.mark.parametrize("tasks", [["rte", "wnli"], ["rte"]])
def test_from_the_command_line(glue, artifact, tmp_path, tasks):
    folders = [str(artifact(task)) for task in tasks]
    given = {"artifact": folders if len(tasks) > 1 else folders[0], "format": "glue"}
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        overrides = [f"output={tmp_path}/out", f"paths.runs={tmp_path}/runs"]
        predict(OmegaConf.merge(compose("predict", overrides=overrides), given))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {TEST_SETS[task].file for task in tasks}


def test_real_test_set(glue_dir, monkeypatch, artifact, written):
    monkeypatch.setenv("GLUE_DIR", str(glue_dir))
    header, *lines = written(artifact("cola"))["CoLA.tsv"]
    assert header == "index\tprediction"
    assert [line.split("\t")[0] for line in lines] == [str(number) for number in range(1063)]
    assert {line.split("\t")[1] for line in lines} == {"0", "1"}
