import time
from types import SimpleNamespace

import pytest
from datasets import Dataset, DatasetDict
from datasets.packaged_modules.generator.generator import Generator

import powerbert.data.hub as hub
from powerbert.base.errors import DataError
from powerbert.data.hub import HubDataset


@pytest.fixture
def cached_copy(tmp_path, monkeypatch):
    """What `load_dataset("nyu-mll/glue", "rte")` of an earlier run leaves in the hub's cache."""
    folder = tmp_path / "hub-cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
    Generator(
        cache_dir=str(folder),
        repo_id="nyu-mll/glue",
        dataset_name="glue",
        config_name="rte",
        config_id="rte",
        hash="abc123",
        generator=lambda: iter([{"sentence1": "one", "label": 1}]),
    ).download_and_prepare()


def test_unreachable_hub_is_one_error_within_seconds(unreachable_hub):
    start = time.monotonic()
    with pytest.raises(DataError, match=r"nyu-mll/glue/rte cannot be had \(Name or service not known\)"):
        HubDataset("nyu-mll/glue", "rte").load()
    assert time.monotonic() - start < 5


def test_hub_that_never_answers_is_given_up(unreachable_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *args, **kwargs: time.sleep(60))
    monkeypatch.setattr(hub, "PATIENCE", 0.05)
    with pytest.raises(DataError, match=r"no answer within 0\.05 seconds"):
        _ = HubDataset("stanfordnlp/imdb").commit


def test_unreachable_hub_with_a_cached_copy(unreachable_hub, cached_copy, caplog):
    dataset = HubDataset("nyu-mll/glue", "rte")
    assert dataset.commit == "abc123"
    assert dataset.load()["train"][:] == {"sentence1": ["one"], "label": [1]}
    assert "taking the copy of an earlier run" in caplog.text


def test_cached_copy_of_another_configuration_is_not_taken(unreachable_hub, cached_copy):
    with pytest.raises(DataError, match="nyu-mll/glue/cola cannot be had"):
        _ = HubDataset("nyu-mll/glue", "cola").commit


def test_reachable_hub(monkeypatch):
    asked = []
    found = DatasetDict({"train": Dataset.from_dict({"sentence1": ["one"]})})
    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info", lambda *args, **kwargs: SimpleNamespace(sha="def456")
    )
    monkeypatch.setattr(hub, "load_dataset", lambda *names: asked.append(names) or found)
    dataset = HubDataset("nyu-mll/glue", "rte")
    assert dataset.commit == "def456"
    assert dataset.load() is found
    assert asked == [("nyu-mll/glue", "rte")]


def test_reachable_hub_that_breaks_off(monkeypatch):
    def break_off(*names):
        raise OSError("connection reset\nand a long story")

    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info", lambda *args, **kwargs: SimpleNamespace(sha="def456")
    )
    monkeypatch.setattr(hub, "load_dataset", break_off)
    with pytest.raises(DataError, match=r"nyu-mll/glue/rte cannot be loaded \(connection reset\)$"):
        HubDataset("nyu-mll/glue", "rte").load()
