"""W&B offline by default, and the end of a run's loggers."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from powerbert.base.environment import wandb_mode


def wandb_logger(**settings: Any) -> WandbLogger:
    """Build a W&B logger that works offline unless the user is logged in.

    Args:
        settings: arguments of `WandbLogger` and of `wandb.init`; `mode`, or the environment's WANDB_MODE,
            overrides the decision.
    """
    if "mode" not in settings and "WANDB_MODE" not in os.environ:
        # Not WandbLogger's own `offline`: it sets a WANDB_MODE that wandb no longer knows.
        settings["mode"] = wandb_mode()
    return WandbLogger(**settings)


def finish(loggers: Sequence[Logger], record: Mapping[str, Any] | None) -> None:
    """Close the loggers of a run; the next point of a sweep starts a new W&B run.

    Args:
        record: becomes the summary of a W&B run; None if the run stopped before the last stage.
    """
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(dict(record or {}))
            logger.experiment.finish()
