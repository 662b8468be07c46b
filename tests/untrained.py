"""Artifacts as a run would leave them, of the tiny checkpoint with random weights."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.data import Task
from powerbert.models import load_host_model
from powerbert.store.artifacts import ArtifactStore

SOME_TEXTS = ["good", "the film was bad", "", "It fell.", "A cat.", "is it a long film, and not good at all?"]


def dataset_settings(name: str, cache: Path, **changes: Any) -> dict[str, Any]:
    """`conf/dataset/<name>.yaml`, resolved as in records and manifests, which name split and metric."""
    yaml = OmegaConf.load(CONFIG_FOLDER / "dataset" / f"{name}.yaml")
    cfg = OmegaConf.create({"paths": {"cache": str(cache)}, "dataset": OmegaConf.merge(yaml, changes)})
    settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)["dataset"]  # type: ignore[index, assignment, call-overload]
    task = Task.from_config(settings)
    return settings | {"evaluation_split": task.evaluation_split, "metric": task.metric}


def untrained_model(checkpoint: Path, tokenizer: PreTrainedTokenizerBase, task: Task) -> PreTrainedModel:
    """A host model that predicts differently for different inputs: logits around 0, values around 2.5."""
    torch.manual_seed(0)
    model = load_host_model(checkpoint, task.kind, **task.model_fields())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10)
        if not task.is_multiple_choice:
            logits = model(**tokenizer(SOME_TEXTS, padding=True, return_tensors="pt")).logits
            model.classifier.weight.div_(logits.std(0, keepdim=True).T)
            model.classifier.bias.copy_((2.5 if task.is_regression else 0) - logits.mean(0) / logits.std(0))
    return model


def untrained_artifact(
    root: Path, checkpoint: Path, tokenizer: PreTrainedTokenizerBase, dataset: dict[str, Any]
) -> Path:
    """A finished artifact of a dataset's task."""
    task = Task.from_config(dataset)
    identity = {"stage": "finetune", "task": task.influence(), "name": task.name}
    with ArtifactStore(root).writing(f"{task.name}-tiny-finetune", identity) as slot:
        if slot.artifact is None:
            untrained_model(checkpoint, tokenizer, task).save_pretrained(slot.artifact_folder)
            tokenizer.save_pretrained(slot.artifact_folder)
            config = {"dataset": dataset, "model": {"name": "tiny"}}
            slot.finish(metrics={}, results={}, max_length=64, config=config)
    return slot.path
