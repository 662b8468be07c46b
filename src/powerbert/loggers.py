"""Loggers that need a decision before Lightning can build them."""

from typing import Any

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(**settings: Any) -> WandbLogger:
    """A W&B logger that works offline unless the user is logged in.

    Args:
        settings: arguments of `WandbLogger`; `offline` overrides the decision.

    Returns:
        The logger; the run itself starts at its first use.
    """
    import wandb

    settings.setdefault("offline", wandb.api.api_key is None)
    return WandbLogger(**settings)
