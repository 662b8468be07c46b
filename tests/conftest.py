"""Fixtures shared by all tests: tiny random BERTs, in memory and as a checkpoint folder; real data if any."""

import os
import signal
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from powerbert.models.tiny import tiny, tiny_config, tiny_tokenizer
from tests.made_up import write_corpus

# One thread for each test process and for those it starts: tiny models gain nothing from more, and workers
# running side by side lose much by waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

# A shell lets what it starts in the background ignore Ctrl-C; the tests send it, here and to other processes.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter) -> None:
    """Prints what tests have recorded as their properties: how often runs were killed, and what was lost."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest tests, so that the other process has enough to do beside them."""
    items.sort(key=lambda item: item.path.name not in ("test_readme.py", "test_end_to_end.py"))


@pytest.fixture
def tiny_bert_config() -> BertConfig:
    """A small BERT whose attention is uneven enough for rankings to be stable; dropout 0."""
    return tiny_config(
        vocab_size=60,
        max_position_embeddings=48,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.4,
        num_labels=3,
    )


@pytest.fixture
def tiny_bert(tiny_bert_config: BertConfig) -> BertForSequenceClassification:
    """The host model of that config with seeded random weights, in evaluation mode."""
    torch.manual_seed(0)
    return BertForSequenceClassification(tiny_bert_config).eval()


@pytest.fixture(scope="session")
def tokenizer() -> BertTokenizer:
    """The tiny checkpoint's tokenizer: ASCII characters and a few common words."""
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """Folder of a tiny random BERT without classifier (``BertModel``) with its tokenizer; read only."""
    return tiny(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A made-up corpus in the layout of `dataset=folder`; read only."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def _shared(variable: str, folder: str) -> Path:
    return Path(os.environ.get(variable) or Path(__file__).parents[2] / "shared" / "data" / folder)


@pytest.fixture(scope="session")
def glue_dir() -> Path:
    path = _shared("GLUE_DIR", "glue")
    if not path.is_dir():
        pytest.skip(f"no GLUE data at {path}; set GLUE_DIR")
    return path


@pytest.fixture(scope="session")
def imdb_dir() -> Path:
    path = _shared("IMDB_DIR", "imdb")
    if not path.is_dir():
        pytest.skip(f"no IMDB data at {path}; set IMDB_DIR")
    return path
