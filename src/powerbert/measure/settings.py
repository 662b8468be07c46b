"""Settings of the measurements, which are checked before torch is imported."""

from dataclasses import dataclass
from typing import Literal

from powerbert.base.checks import check_choice, check_number, check_whole

KINDS = ("operations", "time")
"""What a cost counts."""
PROTOCOLS = ("dynamic", "padded")
"""How the inputs of a cost are batched."""

Statistic = Literal["median", "mean"]


@dataclass(frozen=True)
class LatencySettings:
    """How often and on how many inputs to measure; ConfigError names an invalid value.

    Attributes:
        runs: timed passes of each model over the batches (the paper: 100).
        warmup: passes before those, not counted.
        padded_batch_size: inputs per batch of the padded protocol (the paper: 128).
        dynamic_batch_size: inputs per batch of the dynamic protocol.
        dynamic_batches: largest number of timed batches of the dynamic protocol.
        statistic: reported statistic of the runs: `median` or (as in the paper) `mean`.
        patience: longest time in seconds to wait for other processes; 0 for times that are to be taken again.
    """

    runs: int = 10
    warmup: int = 2
    padded_batch_size: int = 128
    dynamic_batch_size: int = 32
    dynamic_batches: int = 20
    statistic: Statistic = "median"
    patience: float = 60

    def __post_init__(self) -> None:
        check_whole("measure.warmup", self.warmup, 0)
        for name in ("runs", "padded_batch_size", "dynamic_batch_size", "dynamic_batches"):
            check_whole(f"measure.{name}", getattr(self, name))
        check_choice("measure.statistic", self.statistic, ("median", "mean"))
        check_number("measure.patience", self.patience, 0)
