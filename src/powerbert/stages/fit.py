"""Trains one stage with Lightning: resumable, keeping the right epoch."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment

from powerbert.stages.checkpoints import BestEpoch, Resumption, WholeFileIO
from powerbert.stages.faults import BatchSizes, FiniteLoss, explaining_memory
from powerbert.stages.stage import Stage

for part in ("lightning.pytorch", "lightning.fabric"):  # their tips, devices and ranks, once a stage
    logging.getLogger(part).setLevel(logging.WARNING)
for message in (
    ".*treespec, LeafSpec.*",  # between Lightning and torch; nothing to do
    ".*smaller than the logging interval.*",  # small data: the epoch's curve has its last step
    "You're resuming from a checkpoint that ended before the epoch ended.*",  # `Resumption` sees to that
    "Checkpoint directory .* exists and is not empty.*",  # an interrupted run left it
    "Experiment logs directory .* exists and is not empty.*",  # the stages of a run share one
    ".*It is recommended to use .*sync_dist=True.*",  # the metrics are those of all processes already
):
    warnings.filterwarnings("ignore", message=message)

Metrics = dict[str, dict[str, float]]

ONE_MACHINE: dict[str, Any] = {"plugins": [LightningEnvironment()]}
"""Keeps Lightning's Trainer from taking a job of Slurm or torchrun for one training of all its tasks."""


def fit(
    stage: Stage,
    data: LightningDataModule,
    settings: Mapping[str, Any],
    loggers: Sequence[Logger],
    checkpoints: Path,
    interval: timedelta = timedelta(minutes=5),
) -> Metrics:
    """Trains `stage`, or goes on from the checkpoint that an interrupted run left.

    Args:
        stage: trained in place; afterwards its model has the weights of the kept epoch.
        data: gives the train, dev and evaluation batches.
        settings: arguments of Lightning's Trainer.
        loggers: where the curves go.
        checkpoints: folder for `last.ckpt` (everything) and `best.ckpt` (weights).
        interval: time after which `last.ckpt` is written within an epoch.

    Returns:
        The kept weights' metrics by split: `dev`, and the evaluation split if that is another.

    Raises:
        TrainingError: if the loss is not finite, or memory runs out.
        ModelError: if `last.ckpt` is damaged.
    """
    best = BestEpoch(checkpoints / "best.ckpt", stage.monitor)
    last = Resumption(checkpoints / "last.ckpt", interval)
    sizes = BatchSizes()
    callbacks: list[Callback] = [FiniteLoss(checkpoints), sizes, last]
    if stage.keeps == "best":
        callbacks.insert(0, best)
    trainer = Trainer(
        **settings,
        logger=list(loggers),
        callbacks=callbacks,
        default_root_dir=checkpoints,
        plugins=[WholeFileIO(), *ONE_MACHINE["plugins"]],
        use_distributed_sampler=False,  # each process takes its share of a batch in the stage
    )
    resumed = str(last.path) if last.path.exists() else None
    with explaining_memory(lambda: f"{stage.name}: {sizes.advice()}"):
        trainer.fit(stage, datamodule=data, ckpt_path=resumed, weights_only=True)
        if stage.keeps == "best":
            kept = torch.load(checkpoints / "best.ckpt", map_location="cpu", weights_only=True)
            stage.load_state_dict(kept["state_dict"])
        return evaluate(trainer, stage, data)


def evaluate(trainer: Trainer, stage: Stage, data: Any) -> Metrics:
    """The metrics of the stage's model on dev and on the evaluation split.

    Args:
        trainer: runs the loops.
        stage: its model is evaluated as it is.
        data: a `TextDataModule`.

    Returns:
        `{split: {metric: value}}`.
    """
    splits = {"dev": trainer.validate(stage, data.val_dataloader(), verbose=False)}
    if data.task.evaluation_split != "dev":
        splits[data.task.evaluation_split] = trainer.test(stage, data.test_dataloader(), verbose=False)
    return {
        split: {key.partition("_")[2]: value for key, value in logged[0].items()}
        for split, logged in splits.items()
    }
