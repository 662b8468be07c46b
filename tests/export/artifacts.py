"""A fine-tuned artifact of the tiny checkpoint, and one that eliminates word-vectors, as of a run."""

from pathlib import Path

import torch

from powerbert.data import Task
from powerbert.models import load_host_model, load_power_model
from powerbert.store.artifacts import ArtifactStore
from tests.untrained import SOME_TEXTS, dataset_settings

MAX_LENGTH = 24


def folder_dataset(corpus: Path, cache: Path) -> dict:
    """The settings of `dataset=folder` for the made-up corpus."""
    return dataset_settings(
        "folder",
        cache,
        text_columns=["text"],
        label_names=["negative", "positive"],
        max_length=MAX_LENGTH,
        source={"path": str(corpus)},
    )


def balanced_model(checkpoint: Path, tokenizer, task: Task):
    """A host model of random weights that gives different inputs different labels."""
    torch.manual_seed(0)
    model = load_host_model(checkpoint, task.kind, **task.model_fields())
    with torch.no_grad():
        logits = model(**tokenizer(SOME_TEXTS, padding=True, return_tensors="pt")).logits
        model.classifier.bias.sub_(logits.mean(0))
    return model


def make_artifacts(
    root: Path, checkpoint: Path, tokenizer, dataset: dict, **power_fields
) -> tuple[Path, Path]:
    """Both artifacts; the second was made from the first."""
    store, task = ArtifactStore(root), Task.from_config(dataset)
    folders: list[Path] = []
    chain: list[dict[str, str]] = []
    for stage in ("finetune", "retrain"):
        identity = {"stage": stage, "dataset": task.influence()}
        with store.writing(f"{task.name}-tiny-{stage}", identity) as slot:
            if stage == "finetune":
                model = balanced_model(checkpoint, tokenizer, task)
            else:
                model = load_power_model(folders[0], task.kind, **power_fields)
            model.save_pretrained(slot.artifact_folder)
            tokenizer.save_pretrained(slot.artifact_folder)
            chain.append({"artifact": slot.path.name, "stage": stage})
            slot.finish(
                metrics={},
                max_length=MAX_LENGTH,
                chain=chain,
                config={"dataset": dataset, "model": {"name": "tiny"}},
            )
        folders.append(slot.path)
    return folders[0], folders[1]
