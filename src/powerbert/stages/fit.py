"""Trains one stage with Lightning: resumable, keeping the right epoch."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from powerbert.stages.stage import Stage

log = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips and device lists, once a stage
for message in (
    ".*treespec, LeafSpec.*",  # between Lightning and torch; nothing to do
    ".*smaller than the logging interval.*",  # small data: the epoch's curve has its last step
    "Experiment logs directory .* exists and is not empty.*",  # the stages of a run share one
):
    warnings.filterwarnings("ignore", message=message)

Metrics = dict[str, dict[str, float]]


def fit(
    stage: Stage,
    data: LightningDataModule,
    settings: Mapping[str, Any],
    loggers: Sequence[Logger],
    checkpoints: Path,
) -> Metrics:
    """Trains `stage`, or goes on from the checkpoint that an interrupted run left.

    Args:
        stage: trained in place; afterwards its model has the weights of the kept epoch.
        data: gives the train, dev and evaluation batches.
        settings: arguments of Lightning's Trainer.
        loggers: where the curves go.
        checkpoints: folder for `last.ckpt` (everything, every epoch) and `best.ckpt` (weights).

    Returns:
        The kept weights' metrics by split: `dev`, and the evaluation split if that is another.
    """
    best = ModelCheckpoint(
        checkpoints,
        filename="best",
        monitor=stage.monitor,
        mode="max",
        save_weights_only=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(
        checkpoints, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [best, last] if stage.keeps == "best" else [last]
    trainer = Trainer(
        **settings,
        logger=list(loggers),
        callbacks=callbacks,
        default_root_dir=checkpoints,
        use_distributed_sampler=False,  # the data module's sampler splits the batches itself
    )
    interrupted = checkpoints / "last.ckpt"
    if interrupted.exists():
        log.info("%s: going on from the last finished epoch", stage.name)
    trainer.fit(stage, datamodule=data, ckpt_path=str(interrupted) if interrupted.exists() else None)
    if stage.keeps == "best":
        kept = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
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
