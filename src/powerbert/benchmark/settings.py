"""What to measure and how: the keys of `conf/benchmark.yaml`, checked before anything is built."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from powerbert.base.checks import check_choice, check_flag, check_number, check_whole
from powerbert.base.environment import default_device
from powerbert.base.errors import ConfigError
from powerbert.base.files import plain
from powerbert.benchmark.contestants import RUNTIMES
from powerbert.benchmark.inputs import PROTOCOLS
from powerbert.benchmark.pair import Pair, Retention
from powerbert.elimination import validate_retention_configuration
from powerbert.measure.timing import Schedule

USUAL_LENGTH = 128
"""Word pieces of a padded input if neither the user nor the retention configuration gives a length."""


@dataclass(frozen=True)
class Cell:
    """One setting at which all contestants are timed in turn."""

    retention: Retention
    length: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.retention.name}, length {self.length}, batch {self.batch_size}"


@dataclass(frozen=True)
class Settings:
    """How to measure; the fields are the keys of `conf/benchmark.yaml`, where each is explained."""

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
    cls_alone: bool
    output: Path | None

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> "Settings":
        """Read the settings that do not depend on a model; a ConfigError names an invalid value's key."""
        for key, least in {"runs": 1, "warmup": 0, "dynamic_batches": 1, "seed": 0}.items():
            check_whole(key, cfg[key], least)
        check_whole("threads", cfg["threads"], optional=True)
        check_flag("cls_alone", cfg["cls_alone"])
        check_number("seconds", cfg["seconds"], strict=True)
        check_number("median_length", cfg["median_length"], strict=True)
        check_number("median_length", cfg["median_length"], high=1.0)
        if not (cfg["inference"] or cfg["training"] or cfg["memory"]):
            raise ConfigError("inference, training, memory: all are false; set at least one to true")
        lists = {key: _listed(key, plain(cfg[key])) for key in ("batch_size", "runtimes", "protocols")}
        lists["length"] = [] if cfg["length"] is None else _listed("length", plain(cfg["length"]))
        for key, least in {"batch_size": 1, "length": 3}.items():
            for value in lists[key]:
                check_whole(key, value, least)
        for key, choices in {"runtimes": RUNTIMES, "protocols": PROTOCOLS}.items():
            for value in lists[key]:
                check_choice(key, value, choices)
            lists[key] = [name for name in choices if name in lists[key]]
        values = {field.name: cfg[field.name] for field in fields(cls)}
        values |= {key: tuple(dict.fromkeys(items)) for key, items in lists.items()}
        values["device"] = _device(cfg["device"])
        values["output"] = None if cfg["output"] is None else Path(cfg["output"])
        return cls(**values)

    @property
    def schedule(self) -> Schedule:
        """How often to measure."""
        return Schedule(self.runs, self.warmup, self.seconds)

    def cells(self, retentions: Iterable[Retention], longest: int) -> list[Cell]:
        """Combine every retention configuration with each length and batch size.

        Unless `length` is set, each is timed at its own length, or at `USUAL_LENGTH` if it has none. A length
        beyond `longest`, the positions of the model, is a ConfigError.
        """
        cells = [
            Cell(one, length, size)
            for one in retentions
            for length in self.length or [one.length or USUAL_LENGTH]
            for size in self.batch_size
        ]
        for cell in cells:
            if cell.length > longest:
                raise ConfigError(f"length: {cell.length} is beyond the {longest} positions of the model")
        return cells


def read_retentions(cfg: Mapping[str, Any], pair: Pair) -> list[Retention]:
    """Return the retention configurations to time, named or listed under `retention`.

    By default that is the artifact's own, or all of `retentions` that fit the model. A name that is unknown
    or a configuration that does not fit the model is a ConfigError.
    """
    known = {name: _named(name, entry) for name, entry in plain(cfg["retentions"]).items()}
    given = plain(cfg["retention"])
    if given is None and pair.own is not None:
        retentions = [pair.own]
    elif given is None:
        retentions = [one for one in known.values() if one.encoders in (None, pair.encoders)]
    elif isinstance(given, list) and given and not any(isinstance(entry, str) for entry in given):
        retentions = [Retention("custom", tuple(given))]
    else:
        names = _listed("retention", given)
        for name in map(str, names):
            if name not in known:
                raise ConfigError(
                    f"retention: '{name}' is unknown; choose one of {', '.join(known)}, or give a list of "
                    f"{pair.encoders} whole numbers"
                )
        retentions = [known[str(name)] for name in names]
    for one in retentions:
        if one.configuration is not None:
            try:
                validate_retention_configuration(one.configuration, pair.encoders, pair.longest)
            except ConfigError as error:
                raise ConfigError(f"retention: '{one.name}' does not fit the model: {error}") from error
    return retentions


def _named(name: str, entry: Any) -> Retention:
    try:
        configuration, length = entry["configuration"], entry["length"]
    except (TypeError, KeyError) as error:
        raise ConfigError(f"retentions.{name}: give a configuration and a length, or null") from error
    return Retention(name, None if configuration is None else tuple(configuration), length)


def _listed(key: str, given: Any) -> list[Any]:
    """Return one value or a list as a list."""
    values = given if isinstance(given, list) else [given]
    if not values:
        raise ConfigError(f"{key}: the list is empty; give at least one value")
    return values


def _device(name: str) -> torch.device:
    if name == "auto":
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without the device
        raise ConfigError(f"device: '{name}' cannot be used here ({str(error).splitlines()[0]})") from error
    return device
