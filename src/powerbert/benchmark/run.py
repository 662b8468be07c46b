"""A benchmark from its configuration to its files."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.text import Text

from powerbert.base.errors import ConfigError
from powerbert.base.files import plain
from powerbert.benchmark import tables
from powerbert.benchmark.inputs import choose_inputs
from powerbert.benchmark.memory import check_platform, measure_memory, peak_memory
from powerbert.benchmark.pair import Pair, from_artifact
from powerbert.benchmark.results import Row, environment_of, write_files, write_json
from powerbert.benchmark.settings import Settings, read_retentions
from powerbert.benchmark.timings import time_inference, time_training


def run(cfg: Mapping[str, Any], console: Console | None = None) -> dict[str, Any]:
    """Measure, print the results, and write them to the folder `output`.

    Args:
        cfg: The composed configuration of `conf/benchmark.yaml`.
        console: Standard output by default.

    Returns:
        The content of `benchmark.json`: model, machine and settings, `retentions` (for each retention
        configuration and length, the configuration capped at the length), and the rows of `inference`,
        `training`, `memory` and `skipped`.

    Raises:
        UserError: If a setting is invalid, or there is no such model.
    """
    settings, console = Settings.from_config(cfg), console or Console()
    if settings.memory:
        check_platform(settings.device)
    if settings.output is not None:
        try:
            settings.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"output: cannot create the folder {settings.output} ({error.strerror})"
            ) from error
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    make_pair = _maker(cfg)
    pair = make_pair()
    retentions = read_retentions(cfg, pair)
    cells = settings.cells(retentions, pair.longest)
    inputs = choose_inputs(cfg["artifact"], pair, settings.median_length, settings.seed)
    capped = {(cell.retention.name, cell.length): cell.retention.at(cell.length) for cell in cells}
    found: dict[str, Any] = {
        "model": pair.name,
        "inputs": inputs.description,
        "environment": environment_of(settings.device),
        "config": {key: value for key, value in plain(cfg).items() if key not in ("output", "paths")},
        "retentions": [
            {"retention": name, "length": length, "configuration": configuration}
            for (name, length), configuration in capped.items()
        ],
        "inference": [],
        "training": [],
        "memory": [],
        "skipped": [],
    }
    tables.print_heading(console, found)

    def skip(skipped: list[Row]) -> None:
        found["skipped"] += skipped
        tables.print_skipped(console, skipped)

    if settings.inference:
        with tempfile.TemporaryDirectory(prefix="powerbert-") as exports:
            for cell in cells:
                rows, skipped = time_inference(pair, inputs, cell, settings, Path(exports))
                found["inference"] += rows
                tables.print_inference(console, str(cell), rows)
                skip(skipped)
                if settings.output is not None:  # after each cell, in case of an interruption
                    write_json(found, settings.output)
        console.print(*map(Text, tables.NOTES), sep="\n")
    if settings.training:
        found["training"], skipped = time_training(pair, inputs, settings)
        tables.print_training(console, found["training"])
        skip(skipped)
    if settings.memory:  # at the greatest length and batch size
        length, batch_size = max(settings.length or [pair.longest]), max(settings.batch_size)
        (batch,) = inputs.batches("padded", batch_size, length, 1)
        peak = partial(peak_memory, make_pair, batch, settings.device)
        found["memory"], skipped = measure_memory(peak, retentions, settings.runtimes, length, batch_size)
        tables.print_memory(console, found["memory"])
        skip(skipped)
    if settings.output is not None:
        write_files(found, settings.output)
        console.print(Text(f"written: {settings.output}"))
    return found


def _maker(cfg: Mapping[str, Any]) -> Callable[[], Pair]:
    """Return a function that builds the models and can be sent to another process."""
    if cfg["artifact"] is not None:
        make: Callable[[], Pair] = partial(from_artifact, Path(cfg["artifact"]))
    else:
        make = partial(instantiate(cfg["shape"]), seed=cfg["seed"])
    return partial(_made, make, cls_alone=cfg["cls_alone"])


def _made(make: Callable[[], Pair], *, cls_alone: bool) -> Pair:
    pair = make()
    pair.cls_alone = cls_alone
    return pair
