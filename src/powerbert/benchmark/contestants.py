"""Who is timed: the host model and PoWER-BERT, each on several runtimes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from powerbert.base.files import file_name
from powerbert.benchmark.pair import Pair
from powerbert.benchmark.retention import Retention
from powerbert.benchmark.runtimes import BASELINE, RUNTIMES, Make, Place
from powerbert.measure.latency import Batch

Role = Literal["host", "power"]


@dataclass(frozen=True)
class Contestant:
    """A model on a runtime.

    Attributes:
        role: the host model, or PoWER-BERT with its weights.
        runtime: a key of `RUNTIMES`.
    """

    role: Role
    runtime: str

    @property
    def label(self) -> str:
        """For people."""
        if self.role == "host":
            return f"host, {RUNTIMES[self.runtime].label}"
        return "PoWER-BERT" if self.runtime == BASELINE else f"PoWER-BERT, {RUNTIMES[self.runtime].label}"

    @property
    def fused(self) -> bool:
        """Whether no attention matrix is ever written to memory."""
        return self.role == "host" and RUNTIMES[self.runtime].fused

    def make(self, pair: Pair, retention: Retention) -> Make:
        """What makes its model.

        Args:
            pair: of models.
            retention: what PoWER-BERT retains.
        """
        # PoWER-BERT has an attention of its own, whichever the host would have.
        return pair.host if self.role == "host" else lambda attention: pair.power(retention)

    def place(self, retention: Retention, batch: Batch, device: torch.device, folder: Path) -> Place:
        """Where it runs, with the threads that torch uses.

        Args:
            retention: what PoWER-BERT retains.
            batch: one that it is to be given.
            device: where it runs.
            folder: for exported files of all models.
        """
        files = folder / ("host" if self.role == "host" else file_name("power", retention.name))
        return Place(device, torch.get_num_threads(), files, "token_type_ids" in batch)


HOST = Contestant("host", BASELINE)
"""What every contestant is compared with."""

EAGER = Contestant("host", "eager")
"""What the paper compared with: one operation at a time, attention matrices written to memory."""

POWER = Contestant("power", BASELINE)
"""PoWER-BERT as it is loaded."""


def contestants(runtimes: Sequence[str]) -> list[Contestant]:
    """The host and PoWER-BERT on each runtime where they differ; `HOST` is always among them.

    Args:
        runtimes: keys of `RUNTIMES`.
    """
    chosen = [name for name in RUNTIMES if name in runtimes or name == BASELINE]
    return [
        *(Contestant("host", name) for name in chosen),
        *(Contestant("power", name) for name in chosen if not RUNTIMES[name].host_only),
    ]
