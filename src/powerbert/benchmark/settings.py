"""What to measure and how, checked before anything is built."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from powerbert.base.device import default_device
from powerbert.base.errors import ConfigError
from powerbert.benchmark.inputs import PROTOCOLS
from powerbert.benchmark.retention import Retention
from powerbert.benchmark.runtimes import RUNTIMES
from powerbert.measure.timing import Schedule
from powerbert.run.settings import plain

USUAL_LENGTH = 128
"""Word pieces of a padded input where neither the user nor a retention configuration says so."""


@dataclass(frozen=True)
class Cell:
    """One setting at which everything is timed side by side.

    Attributes:
        retention: what PoWER-BERT retains.
        length: word pieces of a padded input.
        batch_size: inputs of a batch.
    """

    retention: Retention
    length: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.retention.name}, length {self.length}, batch {self.batch_size}"


@dataclass(frozen=True)
class Settings:
    """How to measure; the fields are the keys of `conf/benchmark.yaml`."""

    batch_size: tuple[int, ...]
    length: tuple[int, ...]
    runtimes: tuple[str, ...]
    protocols: tuple[str, ...]
    inference: bool
    training: bool
    memory: bool
    runs: int
    warmup: int
    seconds: float
    dynamic_batches: int
    median_length: float
    seed: int
    device: torch.device
    threads: int | None
    output: Path | None

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> "Settings":
        """Reads and checks the settings that need no model.

        Args:
            cfg: the composed configuration of `conf/benchmark.yaml`.

        Raises:
            ConfigError: naming the key and the value that cannot be meant.
        """
        settings = cls(
            batch_size=_whole_numbers(cfg, "batch_size", least=1),
            length=() if cfg["length"] is None else _whole_numbers(cfg, "length", least=3),
            runtimes=_choices(cfg, "runtimes", RUNTIMES),
            protocols=_choices(cfg, "protocols", PROTOCOLS),
            inference=bool(cfg["inference"]),
            training=bool(cfg["training"]),
            memory=bool(cfg["memory"]),
            runs=_whole(cfg, "runs", least=1),
            warmup=_whole(cfg, "warmup", least=0),
            seconds=_positive(cfg, "seconds"),
            dynamic_batches=_whole(cfg, "dynamic_batches", least=1),
            median_length=_positive(cfg, "median_length", most=1.0),
            seed=_whole(cfg, "seed", least=0),
            device=_device(cfg["device"]),
            threads=None if cfg["threads"] is None else _whole(cfg, "threads", least=1),
            output=None if cfg["output"] is None else Path(cfg["output"]),
        )
        if not (settings.inference or settings.training or settings.memory):
            raise ConfigError("inference, training, memory: all are false, so nothing would be measured")
        return settings

    @property
    def schedule(self) -> Schedule:
        """How often to measure."""
        return Schedule(self.runs, self.warmup, self.seconds)

    def cells(self, retentions: Iterable[Retention]) -> list[Cell]:
        """Every retention configuration at each length and batch size.

        Args:
            retentions: in the order in which they are timed. Without a `length` of the settings each goes
                with its own, and one that has none with `USUAL_LENGTH`.
        """
        return [
            Cell(one, length, size)
            for one in retentions
            for length in self.length or [one.length or USUAL_LENGTH]
            for size in self.batch_size
        ]

    def check_lengths(self, cells: Iterable[Cell], longest: int) -> None:
        """Refuses what the model has no positions for.

        Args:
            cells: of `cells`.
            longest: the model's longest input.

        Raises:
            ConfigError: naming the length.
        """
        for cell in cells:
            if cell.length > longest:
                raise ConfigError(f"length: {cell.length} is beyond the {longest} positions of the model")


def _whole(cfg: Mapping[str, Any], key: str, least: int) -> int:
    return _whole_numbers({key: [cfg[key]]}, key, least)[0]


def _whole_numbers(cfg: Mapping[str, Any], key: str, least: int) -> tuple[int, ...]:
    """One number or a list of them, each once."""
    given = plain(cfg[key])
    values = given if isinstance(given, list) else [given]
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{key}: {value!r} must be a whole number of at least {least}")
    if not values:
        raise ConfigError(f"{key}: the list is empty; give at least one")
    return tuple(dict.fromkeys(values))


def _positive(cfg: Mapping[str, Any], key: str, most: float = math.inf) -> float:
    value = cfg[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        bound = f", at most {most:g}" if most < math.inf else ""
        raise ConfigError(f"{key}: {value!r} must be a number greater than 0{bound}")
    return float(value)


def _choices(cfg: Mapping[str, Any], key: str, choices: Iterable[str]) -> tuple[str, ...]:
    given = plain(cfg[key])
    values: Sequence[str] = given if isinstance(given, list) else [given]
    known = list(choices)
    if not values:
        raise ConfigError(f"{key}: the list is empty; choose of {', '.join(known)}")
    for value in values:
        if value not in known:
            raise ConfigError(f"{key}: '{value}' is unknown; choose of {', '.join(known)}")
    return tuple(name for name in known if name in values)


def _device(name: str) -> torch.device:
    if name == "auto":
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch is built without it
        raise ConfigError(f"device: '{name}' cannot be used here ({str(error).splitlines()[0]})") from error
    return device
