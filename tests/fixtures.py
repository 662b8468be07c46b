"""Fixtures for tests of trained models: artifacts with random classifiers, and texts of uneven length.

A conftest imports those it needs by name.
"""

from pathlib import Path

import pytest
import torch

from powerbert.models import load_host_model, load_power_model
from powerbert.predict.subject import Subject
from powerbert.store.artifacts import ArtifactStore

ROWS = 14


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    words = "the film was a great story but the end is bad and never boring".split()  # noqa: SIM905
    for split, rows in (("train", 3), ("dev", ROWS)):
        lines = [f"{' '.join(words[: 1 + number])}\t{number % 2}" for number in range(rows)]
        (folder / f"{split}.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def dataset(corpus, tmp_path_factory) -> dict:
    return {
        "name": "folder",
        "kind": "sequence_classification",
        "text_columns": ["text"],
        "label_names": ["negative", "positive"],
        "metric": "accuracy",
        "max_length": 16,
        "evaluation_split": "dev",
        "source": {
            "_target_": "powerbert.data.folder.FolderSource",
            "path": str(corpus),
            "text_columns": ["text"],
            "label_names": ["negative", "positive"],
            "cache": str(tmp_path_factory.mktemp("cache")),
        },
    }


@pytest.fixture(scope="session")
def make_artifact(tiny_checkpoint, tokenizer, dataset, tmp_path_factory):
    """Makes an artifact as a run would, without training; the host's weights are those of the seed."""
    store = ArtifactStore(tmp_path_factory.mktemp("artifacts"))
    host = tmp_path_factory.mktemp("host")
    torch.manual_seed(1)
    load_host_model(tiny_checkpoint, num_labels=2).save_pretrained(host)

    def make(**elimination) -> Path:
        stage = "retrain" if elimination else "finetune"
        identity = {"stage": stage, **elimination}
        model = load_power_model(host, **elimination) if elimination else load_host_model(host)
        with store.writing(f"folder-tiny-{stage}", identity) as slot:
            if slot.artifact is None:
                model.save_pretrained(slot.artifact_folder)
                tokenizer.save_pretrained(slot.artifact_folder)
                config = {
                    "dataset": dataset,
                    "model": {"name": "tiny"},
                    "lambda": 0.01,
                    "seed": 7,
                    "elimination": {"retention_configuration": None},
                }
                slot.finish(metrics={}, results={}, max_length=16, config=config)
        return slot.path

    return make


@pytest.fixture(scope="session")
def finetuned(make_artifact) -> Path:
    return make_artifact()


@pytest.fixture(scope="session")
def retrained(make_artifact) -> Path:
    return make_artifact(retention_configuration=[9, 5, 1])


@pytest.fixture
def subject(finetuned) -> Subject:
    return Subject(str(finetuned), batch_size=4)
