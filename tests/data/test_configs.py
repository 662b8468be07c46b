from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from powerbert.data import Task
from tests.data.glue_files import FILES

FOLDER = Path(__file__).parents[2] / "conf" / "dataset"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PAPER = {  # Table 1: input length and metric
    "cola": (64, "matthews_correlation"),
    "rte": (256, "accuracy"),
    "qqp": (128, "f1"),
    "mrpc": (128, "f1"),
    "sst2": (64, "accuracy"),
    "mnli_m": (128, "accuracy"),
    "mnli_mm": (128, "accuracy"),
    "qnli": (128, "accuracy"),
    "stsb": (64, "spearman"),
    "imdb": (512, "accuracy"),
    "race": (512, "accuracy"),
}


def load(tmp_path, name, *overrides):
    """Composes a dataset alone, with the one value that it takes from the top-level configuration."""
    primary = tmp_path / "only.yaml"
    primary.write_text(f"defaults: [_self_, dataset: {name}]\npaths: {{cache: {tmp_path}}}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        search = f"hydra.searchpath=[file://{FOLDER.parent}]"
        return compose("only", overrides=[search, *overrides]).dataset


@pytest.fixture(autouse=True)
def no_folders(monkeypatch):
    for variable in ("GLUE_DIR", "IMDB_DIR", "RACE_DIR"):
        monkeypatch.delenv(variable, raising=False)


def test_every_dataset_is_found():
    assert set(NAMES) >= {*PAPER, "snippets", "folder"}


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_composes_and_instantiates(tmp_path, name):
    cfg = load(tmp_path, name)
    task, source = Task.from_config(cfg), instantiate(cfg.source)
    assert task.name == name
    for method in ("available", "fingerprint", "load"):
        assert callable(getattr(source, method))
    assert Path(source.cache) == tmp_path


@pytest.mark.parametrize("name", PAPER)
def test_lengths_and_metrics_of_the_paper(tmp_path, name):
    task = Task.from_config(load(tmp_path, name))
    assert (task.max_length, task.metric) == PAPER[name]
    assert task.is_regression == (name == "stsb")
    assert task.is_multiple_choice == (name == "race")


def test_folder_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GLUE_DIR", str(tmp_path / "glue"))
    assert instantiate(load(tmp_path, "rte").source).folder == tmp_path / "glue"


def test_overrides_reach_the_source(tmp_path):
    overrides = ["dataset.text_columns=[title,body]", "dataset.label_names=[bad,good]"]
    source = instantiate(load(tmp_path, "folder", *overrides, f"dataset.source.path={tmp_path}").source)
    assert list(source.columns) == ["title", "body"]
    assert source.labels.names == ("bad", "good")
    regression = ["dataset.label_names=null", "dataset.metric=spearman", "dataset.max_length=32"]
    task = Task.from_config(load(tmp_path, "folder", *regression))
    assert task.is_regression
    assert task.max_length == 32


@pytest.mark.parametrize("name", FILES)
def test_columns_of_the_yaml_are_those_of_the_source(tmp_path, write, monkeypatch, name):
    for file, content in FILES[name].items():
        write(file, content)
    monkeypatch.setenv("GLUE_DIR", str(tmp_path))
    cfg = load(tmp_path, name)
    loaded = instantiate(cfg.source).load()
    assert loaded["test"].column_names == list(Task.from_config(cfg).text_columns)


@pytest.mark.parametrize(
    ("files", "split"),
    [
        ({"test_labelled.tsv": "sentence\tlabel\na film\t1\n"}, "test"),
        ({"test.tsv": "index\tsentence\n0\ta film\n"}, "dev"),
        ({}, "dev"),
    ],
)
def test_sst2_is_evaluated_on_a_labelled_test_set(tmp_path, monkeypatch, files, split):
    folder = tmp_path / "glue" / "SST-2"
    folder.mkdir(parents=True)
    train = "sentence\tlabel\na joy\t1\na bore\t0\n"
    for name, content in ({"train.tsv": train, "dev.tsv": train} | files).items():
        (folder / name).write_text(content)
    monkeypatch.setenv("GLUE_DIR", str(folder.parent))
    cfg = load(tmp_path, "sst2")
    source = instantiate(cfg.source)
    assert Task.from_config(cfg, source).evaluation_split == split
    assert "label" in source.load()[split].column_names
    fixed = load(tmp_path, "sst2", "dataset.evaluation_split=dev")
    assert Task.from_config(fixed, instantiate(fixed.source)).evaluation_split == "dev"
