import time
from types import SimpleNamespace

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from datasets.packaged_modules.generator.generator import Generator

import powerbert.data.hub as hub
from powerbert.base.errors import ConfigError, DataError
from powerbert.data.hub import HubSource


@pytest.fixture
def cached_copy(tmp_path, monkeypatch):
    """What `load_dataset("nyu-mll/glue", "rte")` of an earlier run leaves in the hub's cache."""
    folder = tmp_path / "hub-cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
    name = {"repo_id": "nyu-mll/glue", "dataset_name": "glue", "config_name": "rte", "config_id": "rte"}
    rows = [{"sentence1": "one", "label": 1}]
    builder = Generator(cache_dir=str(folder), hash="abc123", generator=lambda: iter(rows), **name)
    builder.download_and_prepare()


def glue(task):
    return HubSource("nyu-mll/glue", ["sentence1"], ["a", "b"], "unused", name=task)


def test_unreachable_hub_is_one_error_within_seconds(unreachable_hub):
    start = time.monotonic()
    with pytest.raises(DataError, match=r"nyu-mll/glue/rte is not available \(Name or service not known\)"):
        glue("rte").download()
    assert time.monotonic() - start < 5


def test_hub_that_never_answers_is_given_up(unreachable_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *args, **kwargs: time.sleep(5))
    monkeypatch.setattr(hub, "PATIENCE", 0.05)
    with pytest.raises(DataError, match=r"no answer within 0\.05 seconds"):
        glue("rte").available()


def test_unreachable_hub_with_a_cached_copy_of_one_configuration(unreachable_hub, cached_copy, caplog):
    dataset = glue("rte")
    assert dataset.version == "nyu-mll/glue/rte@abc123"
    assert dataset.download()["train"][:] == {"sentence1": ["one"], "label": [1]}
    assert "using the copy of an earlier run" in caplog.text
    with pytest.raises(DataError, match="nyu-mll/glue/cola is not available"):
        glue("cola").available()


def test_several_labels(on_hub, cache):
    features = Features({"text": Value("string"), "labels": List(ClassLabel(names=["joy", "fear", "pride"]))})
    rows = Dataset.from_dict({"text": ["one", "two"], "labels": [[2, 0], []]}, features=features)
    on_hub(train=rows, validation=rows)
    kind = {"kind": "multi_label_classification", "label_column": "labels"}
    source = HubSource("emotions", ["text"], ["joy", "fear", "pride"], cache, **kind)
    assert source.load()["dev"]["label"][:] == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    with pytest.raises(DataError, match="its classes are joy, fear, pride; set "):
        HubSource("emotions", ["text"], ["fear", "joy", "pride"], cache, **kind).load()
    flags = Dataset.from_dict({"text": ["one"], "joy": [1], "fear": [0]})
    on_hub(train=flags, validation=flags)
    columns = {"kind": kind["kind"], "label_columns": ["fear", "joy"]}
    assert HubSource("flags", ["text"], None, cache, **columns).load()["dev"]["label"][:] == [[0.0, 1.0]]


@pytest.fixture
def reachable_hub(monkeypatch):
    answer = SimpleNamespace(sha="def456")
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *args, **kwargs: answer)


def test_reachable_hub(reachable_hub, monkeypatch):
    asked = []
    found = DatasetDict({"train": Dataset.from_dict({"sentence1": ["one"]})})
    monkeypatch.setattr(hub, "load_dataset", lambda *names: asked.append(names) or found)
    dataset = glue("rte")
    assert dataset.version == "nyu-mll/glue/rte@def456"
    assert dataset.download() is found
    assert asked == [("nyu-mll/glue", "rte")]


def test_reachable_hub_that_breaks_off(reachable_hub, monkeypatch):
    def break_off(*names):
        raise OSError("connection reset\nand a long story")

    monkeypatch.setattr(hub, "load_dataset", break_off)
    with pytest.raises(DataError, match=r"nyu-mll/glue/rte cannot be loaded \(connection reset\)$"):
        glue("rte").download()


@pytest.fixture
def local_dataset(tmp_path):
    folder = tmp_path / "news"
    folder.mkdir()
    rows = "".join(f"text {number},{number % 2}\n" for number in range(60))
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text("body,topic\n" + rows)
    return folder


def source_of(folder, cache, **changes):
    settings = {"columns": {"text": "body"}, "label_column": "topic"} | changes
    return HubSource(str(folder), ["text"], ["world", "sports"], cache, **settings)


def test_dataset_by_settings_alone(local_dataset, cache):
    source = source_of(local_dataset, cache)
    source.available()
    loaded = source.load()
    assert set(loaded) == {"train", "dev", "test"}
    assert len(loaded["train"]) + len(loaded["dev"]) == len(loaded["test"]) == 60
    assert loaded["test"][1] == {"text": "text 1", "label": 1}
    before = source.fingerprint()
    assert source_of(local_dataset, cache).fingerprint() == before
    (local_dataset / "test.csv").write_text("body,topic\nother,0\n")
    assert source_of(local_dataset, cache).fingerprint() != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {}}, r"has no column 'text', only body, topic; set dataset\.source\.columns\.text"),
        ({"label_column": "label"}, r"has no column 'label'.*dataset\.source\.label_column"),
        ({"splits": {"train": "training"}}, r"has no split 'training'.*dataset\.source\.splits\.train"),
    ],
)
def test_missing_part_is_named(local_dataset, cache, changes, message):
    with pytest.raises(DataError, match=message):
        source_of(local_dataset, cache, **changes).load()


def test_unknown_split_and_missing_path_are_named(local_dataset, cache):
    with pytest.raises(ConfigError, match=r"dataset\.source\.splits: 'valid'"):
        source_of(local_dataset, cache, splits={"train": "train", "valid": "test"})
    with pytest.raises(DataError, match=r"dataset\.source\.path"):
        HubSource(None, ["text"], ["a", "b"], cache).available()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([-1, -1], None), ([-1, 1], r"test, row 1: column 'label': label '-1'"), ([0, 1], [0, 1])],
)
def test_whether_a_test_split_is_labelled_depends_on_all_its_rows(on_hub, cache, labels, expected):
    def split(labels):
        features = Features({"text": Value("string"), "label": Value("int64")})
        return Dataset.from_dict({"text": ["a"] * len(labels), "label": labels}, features=features)

    on_hub(train=split([0, 1]), validation=split([1]), test=split(labels))
    source = HubSource("news", ["text"], ["world", "sports"], cache)
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            source.load()
        return
    test = source.load()["test"]
    assert (test["label"][:] if "label" in test.column_names else None) == expected


def test_an_empty_test_split_counts_as_absent(local_dataset, cache, on_hub):
    source = source_of(local_dataset, cache)
    loaded = source.download()
    on_hub(**loaded | {"test": loaded["test"].select([])})
    assert set(source.load()) == {"train", "dev"}
    on_hub(**loaded | {"train": loaded["train"].select([])})
    with pytest.raises(DataError, match="train: has no rows"):
        source.load()
