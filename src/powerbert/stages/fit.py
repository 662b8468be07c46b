"""Train one stage with Lightning, resumably, and keep the right epoch."""

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

for part in ("lightning.pytorch", "lightning.fabric"):  # they repeat tips, devices and ranks at every stage
    logging.getLogger(part).setLevel(logging.WARNING)
for message in (
    ".*treespec, LeafSpec.*",  # an internal matter of Lightning and torch
    ".*smaller than the logging interval.*",  # small data: the curve still has the epoch's last step
    "You're resuming from a checkpoint that ended before the epoch ended.*",  # `Resumption` handles it
    "Checkpoint directory .* exists and is not empty.*",  # an interrupted run left it
    "Experiment logs directory .* exists and is not empty.*",  # the stages of a run share one
    ".*It is recommended to use .*sync_dist=True.*",  # torchmetrics already joins the processes
):
    warnings.filterwarnings("ignore", message=message)

Metrics = dict[str, dict[str, float]]

ONE_MACHINE: dict[str, Any] = {"plugins": [LightningEnvironment()]}
"""Stops Lightning's Trainer from treating a Slurm or torchrun job as one distributed training."""


def fit(
    stage: Stage,
    data: LightningDataModule,
    settings: Mapping[str, Any],
    loggers: Sequence[Logger],
    checkpoints: Path,
    interval: timedelta = timedelta(minutes=5),
) -> Metrics:
    """Train `stage`, resuming from the checkpoint of an interrupted run if there is one.

    Args:
        stage: trained in place; ends with the weights of the kept epoch.
        data: gives the train, dev and evaluation batches.
        settings: arguments of Lightning's Trainer.
        checkpoints: folder for `last.ckpt` (everything) and `best.ckpt` (weights).
        interval: time between two writes of `last.ckpt` within an epoch.

    Returns:
        Metrics of the kept weights by split: `dev`, and the evaluation split if it differs.

    Raises:
        TrainingError: if the loss is not finite or memory runs out.
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
    """Evaluate the stage's current weights on dev and on the evaluation split.

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
