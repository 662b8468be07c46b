"""A benchmark from its configuration to its files."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
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
from powerbert.benchmark.results import Row, environment_of, left_out, write_files, write_json
from powerbert.benchmark.settings import USUAL_LENGTH, Settings, read_retentions
from powerbert.benchmark.timings import measure_training, time_inference


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
    settings = Settings.from_config(cfg)
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
    run = _Run(cfg, settings, console or Console())
    if settings.inference:
        with tempfile.TemporaryDirectory(prefix="powerbert-") as folder:
            run.inference(Path(folder))
    if settings.training:
        run.training()
    if settings.memory:
        run.memory()
    if settings.output is not None:
        write_files(run.found, settings.output)
        run.console.print(Text(f"written: {settings.output}"))
    return run.found


class _Run:
    """The models, the inputs and the results so far."""

    def __init__(self, cfg: Mapping[str, Any], settings: Settings, console: Console):
        self.settings, self.console = settings, console
        self.make_pair = _maker(cfg)
        self.pair = self.make_pair()
        self.retentions = read_retentions(cfg, self.pair)
        self.cells = settings.cells(self.retentions, self.pair.longest)
        self.inputs = choose_inputs(
            cfg["artifact"], self.pair.task, self.pair.config, settings.median_length, settings.seed
        )
        at = {(cell.retention.name, cell.length): cell.retention.at(cell.length) for cell in self.cells}
        self.found: dict[str, Any] = {
            "model": self.pair.name,
            "inputs": self.inputs.description,
            "environment": environment_of(settings.device),
            "config": {key: value for key, value in plain(cfg).items() if key not in ("output", "paths")},
            "retentions": [
                {"retention": name, "length": length, "configuration": configuration}
                for (name, length), configuration in at.items()
            ],
            "inference": [],
            "training": [],
            "memory": [],
            "skipped": [],
        }
        tables.print_heading(console, self.found)

    def inference(self, exports: Path) -> None:
        """Time forward passes; `benchmark.json` is rewritten after each cell in case of an interruption."""
        for cell in self.cells:
            rows, skipped = time_inference(self.pair, self.inputs, cell, self.settings, exports)
            self.found["inference"] += rows
            tables.print_inference(self.console, str(cell), rows)
            self._skip(skipped)
            if self.settings.output is not None:
                write_json(self.found, self.settings.output)
        self.console.print(*map(Text, tables.NOTES), sep="\n")

    def training(self) -> None:
        """Time training steps, which do not depend on the retention configuration."""
        skipped = []
        for length, batch_size in product(self.settings.length or [USUAL_LENGTH], self.settings.batch_size):
            try:
                row = measure_training(self.pair, self.inputs, length, batch_size, self.settings)
                self.found["training"].append(row)
            except Exception as error:  # such as a lack of memory; it must not cost the other results
                skipped.append(left_out(f"length {length}, batch {batch_size}", "training", error))
        tables.print_training(self.console, self.found["training"])
        self._skip(skipped)

    def memory(self) -> None:
        """Measure peak memory at the greatest length and batch size."""
        length, batch_size = max(self.settings.length or [self.pair.longest]), max(self.settings.batch_size)
        (batch,) = self.inputs.batches("padded", batch_size, length, 1)
        peak = partial(peak_memory, self.make_pair, batch, self.settings.device)
        rows, skipped = measure_memory(peak, self.retentions, self.settings.runtimes, length, batch_size)
        self.found["memory"] = rows
        tables.print_memory(self.console, rows)
        self._skip(skipped)

    def _skip(self, skipped: list[Row]) -> None:
        self.found["skipped"] += skipped
        tables.print_skipped(self.console, skipped)


def _maker(cfg: Mapping[str, Any]) -> Callable[[], Pair]:
    """Return a function that builds the models and can be sent to another process."""
    if cfg["artifact"] is not None:
        return partial(from_artifact, Path(cfg["artifact"]))
    shape: Callable[..., Pair] = instantiate(cfg["shape"])
    return partial(shape, seed=cfg["seed"])
