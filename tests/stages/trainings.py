"""Tiny trainings: whole runs that may be disturbed, and a task with random batches for `fit`."""

import json

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from powerbert.data import Task
from powerbert.stages import FineTune
from tests.tiny_runs import train

STEPS = 6
"""Optimizer steps of an epoch of the corpus; its dev split has two batches."""


def finetune(corpus, runs, *more):
    """The manifest of a fine-tuning of two epochs, which saves after every step."""
    settings = ("stage=finetune", "trainer.max_epochs=2", "batch_size=16", "checkpoint_minutes=0")
    train(corpus, runs, *settings, *more)
    (path,) = runs.glob("artifacts/*/manifest.json")
    manifest = json.loads(path.read_text())
    return {key: manifest[key] for key in ("id", "metrics", "weights")}


def checkpoint(runs):
    (path,) = runs.glob("artifacts/*.partial/checkpoints/last.ckpt")
    return torch.load(path, weights_only=True)


def at(patch, hook, call, happens):
    """Let something happen in a stage's hook, the `call`th time that it is called; count the calls."""
    calls, original = [0], getattr(FineTune, hook)

    def hooked(self, *arguments):
        calls[0] += 1
        if calls[0] == call:
            happens()
        return original(self, *arguments)

    patch.setattr(FineTune, hook, hooked)
    return calls


LENGTH = 12
TASK = Task("made-up", ("text",), ("a", "b"), "accuracy", LENGTH)
SETTINGS = {
    "max_epochs": 2,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "num_sanity_val_steps": 0,
}


def batch(seed: int, size: int = 8) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(5, 90, (size, LENGTH), generator=generator)
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "labels": torch.randint(0, 2, (size,), generator=generator),
    }


class Data(LightningDataModule):
    task = TASK

    def train_dataloader(self):
        return DataLoader([batch(seed) for seed in range(4)], batch_size=None)

    def val_dataloader(self):
        return DataLoader([batch(seed) for seed in range(10, 14)], batch_size=None)
