"""Train one stage with Lightning, resumably, and keep the right epoch."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from powerbert.base.errors import ConfigError
from powerbert.base.network import first_line
from powerbert.measure.metrics import PER_CLASS
from powerbert.stages.checkpoints import BestEpoch, Resumption, WholeFileIO
from powerbert.stages.faults import FaultReport, explaining_memory
from powerbert.stages.stage import Stage

for part in ("lightning.pytorch", "lightning.fabric"):  # they repeat tips, devices and ranks at every stage
    logging.getLogger(part).setLevel(logging.WARNING)
for message in (
    ".*treespec, LeafSpec.*",  # between Lightning and torch
    ".*smaller than the logging interval.*",  # small data: the curve still has the epoch's last step
    "You're resuming from a checkpoint that ended before the epoch ended.*",  # `Resumption` handles it
    "Checkpoint directory .* exists and is not empty.*",  # an interrupted run left it
    "Experiment logs directory .* exists and is not empty.*",  # the stages of a run share one
    ".*It is recommended to use .*sync_dist=True.*",  # torchmetrics joins the processes
):
    warnings.filterwarnings("ignore", message=message)

REFUSALS = (MisconfigurationException, ImportError, TypeError, ValueError)
"""What Lightning raises for an argument that it does not take."""

Metrics = dict[str, dict[str, Any]]


def make_trainer(*plugins: Any, **arguments: Any) -> Trainer:
    """Create Lightning's Trainer for one machine, also within a Slurm or torchrun job.

    Raises:
        ConfigError: naming the argument and quoting Lightning, if it refuses one.
    """
    try:
        return Trainer(**arguments, plugins=[LightningEnvironment(), *plugins])
    except REFUSALS as error:
        raise ConfigError(f"{_culprit(arguments)}: refused by Lightning ({first_line(error)})") from error


def _culprit(arguments: Mapping[str, Any]) -> str:
    """Name the first argument that Lightning refuses by itself; all, if only some together are refused."""
    for key, value in arguments.items():
        try:
            Trainer(**{"logger": False, "enable_checkpointing": False, key: value})
        except REFUSALS:
            return f"trainer.{key}"
    return "trainer, stages"


def fit(
    stage: Stage,
    data: LightningDataModule,
    settings: Mapping[str, Any],
    loggers: Sequence[Logger],
    checkpoints: Path,
    interval: timedelta = timedelta(minutes=5),
) -> Metrics:
    """Train `stage` in place, resuming an interrupted training; it ends with the kept epoch's weights.

    With 0 epochs it is only evaluated.

    Args:
        settings: arguments of Lightning's Trainer.
        checkpoints: folder for `last.ckpt` (everything) and `best.ckpt` (weights).
        interval: time between two writes of `last.ckpt` within an epoch; zero writes after every step.

    Returns:
        Metrics of the kept weights by split: `dev`, and the evaluation split if it differs. They include the
        table of the classes, if there are any.

    Raises:
        ConfigError: if Lightning's Trainer refuses a setting.
        TrainingError: if the loss is not finite or memory runs out.
        ModelError: if `last.ckpt` is damaged.
    """
    faults = FaultReport(checkpoints)
    best, last = checkpoints / "best.ckpt", checkpoints / "last.ckpt"
    keeper = [BestEpoch(best, f"{stage.name}/dev_{stage.task.metric}")] if stage.keeps == "best" else []
    trainer = make_trainer(
        WholeFileIO(),
        **settings,
        logger=list(loggers),
        callbacks=[*keeper, faults, Resumption(last, interval)],
        default_root_dir=checkpoints,
        use_distributed_sampler=False,  # each process takes its share of a batch in the stage
    )
    with explaining_memory(lambda: f"{stage.name}: {faults.memory_advice()}"):
        if settings.get("max_epochs") == 0:
            return _evaluate(trainer, stage, data)
        resumed = last if last.exists() else None
        trainer.fit(stage, datamodule=data, ckpt_path=resumed, weights_only=True)
        if keeper and best.exists():  # not where max_steps or max_time end the first epoch
            kept = torch.load(best, map_location="cpu", weights_only=True)
            stage.load_state_dict(kept["state_dict"])
        return _evaluate(trainer, stage, data)


def _evaluate(trainer: Trainer, stage: Stage, data: Any) -> Metrics:
    logged = {"dev": trainer.validate(stage, data.val_dataloader(), verbose=False)}
    split = data.task.evaluation_split
    if split != "dev":
        logged[split] = trainer.test(stage, data.test_dataloader(), verbose=False)
    return {
        split: {key.partition("_")[2]: value for key, value in metrics.items()}
        | ({PER_CLASS: stage.tables[split]} if split in stage.tables else {})
        for split, (metrics,) in logged.items()
    }
