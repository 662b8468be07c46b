"""Loggers that need a decision before Lightning can build them, and what a run tells them at its end."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger


def wandb_logger(**settings: Any) -> WandbLogger:
    """A W&B logger that works offline unless the user is logged in.

    Args:
        settings: arguments of `WandbLogger` and of `wandb.init`; `mode`, or the environment's WANDB_MODE,
            overrides the decision.

    Returns:
        The logger; the run itself starts at its first use.
    """
    if "mode" not in settings and "WANDB_MODE" not in os.environ:
        # Not WandbLogger's own `offline`: it sets a WANDB_MODE that wandb no longer knows.
        settings["mode"] = wandb_mode()
    return WandbLogger(**settings)


def wandb_mode() -> Any:
    """How W&B should work: as WANDB_MODE says, else offline unless the user is logged in."""
    import wandb

    return os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")


def finish(loggers: Sequence[Logger], record: Mapping[str, Any] | None) -> None:
    """Closes the loggers of a run, so that the next point of a sweep begins a run of its own.

    Args:
        loggers: of the run.
        record: becomes the summary of a W&B run; None if the run stopped before the last stage.
    """
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(dict(record or {}))
            logger.experiment.finish()
