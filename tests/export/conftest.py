"""A fine-tuned artifact of the tiny checkpoint, and one made from it that eliminates word-vectors."""

import pytest
import torch

from powerbert.data import Task
from powerbert.models import load_host_model, load_power_model
from powerbert.store.artifacts import ArtifactStore
from tests.untrained import SOME_TEXTS, dataset_settings

MAX_LENGTH = 24


@pytest.fixture(scope="session")
def artifacts(tiny_checkpoint, tokenizer, corpus, tmp_path_factory):
    """The folders of both artifacts, as a run leaves them; read only."""
    dataset = dataset_settings(
        "folder",
        tmp_path_factory.mktemp("cache"),
        text_columns=["text"],
        label_names=["negative", "positive"],
        max_length=MAX_LENGTH,
        source={"path": str(corpus)},
    )
    task, store = Task.from_config(dataset), ArtifactStore(tmp_path_factory.mktemp("artifacts"))
    folders, chain = [], []
    for stage in ("finetune", "retrain"):
        identity = {"stage": stage, "dataset": task.influence()}
        with store.writing(f"{task.name}-tiny-{stage}", identity) as slot:
            if stage == "finetune":
                model = balanced_model(tiny_checkpoint, tokenizer, task)
            else:
                model = load_power_model(folders[0], task.kind, retention_configuration=[9, 5, 2])
            model.save_pretrained(slot.artifact_folder)
            tokenizer.save_pretrained(slot.artifact_folder)
            chain.append({"artifact": slot.path.name, "stage": stage})
            config = {"dataset": dataset, "model": {"name": "tiny"}}
            slot.finish(metrics={}, max_length=MAX_LENGTH, chain=chain, config=config)
        folders.append(slot.path)
    return folders


def balanced_model(checkpoint, tokenizer, task):
    """A host model of random weights that gives different inputs different labels."""
    torch.manual_seed(0)
    model = load_host_model(checkpoint, task.kind, **task.model_fields())
    with torch.no_grad():
        logits = model(**tokenizer(SOME_TEXTS, padding=True, return_tensors="pt")).logits
        model.classifier.bias.sub_(logits.mean(0))
    return model
