"""What the tests of datasets share: a tokenizer of whole words, small files, a hub out of reach."""

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict
from transformers import BertTokenizer

from powerbert.data import Task

WORDS = ["a", "b", "c", "d", "e", "f", "g", "good", "bad", "film", "plot", "the", "is", "not"]
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def tokenizer() -> BertTokenizer:
    """One word piece a word of `WORDS`; anything else is [UNK]."""
    vocabulary = {
        piece: index for index, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    }
    return BertTokenizer(vocab=vocabulary, model_max_length=512)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below `tmp_path`; bytes as they are, text as UTF-8."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def make_task(**changes) -> Task:
    fields = {
        "name": "reviews",
        "text_columns": ("text",),
        "label_names": ("negative", "positive"),
        "metric": "accuracy",
        "max_length": 8,
    }
    return Task(**(fields | changes))


@pytest.fixture
def task() -> Task:
    return make_task()


@pytest.fixture
def unreachable_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub gives no answer and its cache is empty."""

    def no_answer(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", no_answer)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub-cache")


@pytest.fixture
def on_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the hub's datasets other splits, at commit abc123."""

    def on_hub(**splits: Dataset) -> None:
        monkeypatch.setattr("powerbert.data.hub.HubSource.download", lambda self: DatasetDict(splits))
        monkeypatch.setattr("powerbert.data.hub.HubSource.version", "abc123")

    return on_hub
