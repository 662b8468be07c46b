"""A benchmark from its configuration to its files."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.text import Text

from powerbert.base.errors import ConfigError
from powerbert.base.figures import save
from powerbert.base.files import plain
from powerbert.benchmark import tables
from powerbert.benchmark.figure import draw, tabulate
from powerbert.benchmark.inputs import choose_inputs
from powerbert.benchmark.memory import check_platform, measure_memory
from powerbert.benchmark.pair import Pair, from_artifact
from powerbert.benchmark.results import Findings, Skipped, environment_of, one_line
from powerbert.benchmark.settings import USUAL_LENGTH, Settings, read_retentions
from powerbert.benchmark.timings import InferenceBenchmark, measure_training


def run(cfg: Mapping[str, Any], console: Console | None = None) -> Findings:
    """Measure, print the results, and write them to the folder `output`.

    Args:
        cfg: The composed configuration of `conf/benchmark.yaml`.
        console: Standard output by default.

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
        write_files(run.findings, settings.output)
        run.console.print(Text(f"written: {settings.output}"))
    return run.findings


def write_files(findings: Findings, output: Path) -> None:
    """Write `benchmark.json`, and a table of each kind of result, with a figure for forward passes."""
    findings.write_json(output)
    if findings.inference:
        figure = draw(findings.inference, f"{findings.model}: wall-clock speed-up on {findings.machine}")
        save(figure, tabulate(findings.inference), output, "inference")
    for name, rows in (("training", findings.training), ("memory", findings.memory)):
        if rows:
            table = pd.DataFrame([asdict(row) for row in rows])
            table.to_csv(output / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


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
        self.findings = Findings(
            model=self.pair.name,
            inputs=self.inputs.description,
            environment=environment_of(settings.device),
            config={key: value for key, value in plain(cfg).items() if key not in ("output", "paths")},
            retentions=[
                {"retention": name, "length": length, "configuration": configuration}
                for (name, length), configuration in at.items()
            ],
        )
        tables.print_heading(console, self.findings)

    def inference(self, exports: Path) -> None:
        """Time forward passes; `benchmark.json` is rewritten after each cell in case of an interruption."""
        benchmark = InferenceBenchmark(self.pair, self.inputs, self.settings, exports)
        for cell in self.cells:
            rows, skipped = benchmark.measure(cell)
            self.findings.inference += rows
            self.findings.skipped += skipped
            tables.print_cell(self.console, cell, rows, skipped)
            if self.settings.output is not None:
                self.findings.write_json(self.settings.output)
        self.console.print(*map(Text, tables.NOTES), sep="\n")

    def training(self) -> None:
        """Time training steps, which do not depend on the retention configuration."""
        skipped = []
        for length, batch_size in product(self.settings.length or [USUAL_LENGTH], self.settings.batch_size):
            try:
                row = measure_training(self.pair, self.inputs, length, batch_size, self.settings)
                self.findings.training.append(row)
            except Exception as error:  # such as a lack of memory; it must not cost the other results
                skipped.append(Skipped(f"length {length}, batch {batch_size}", "training", one_line(error)))
        self.findings.skipped += skipped
        tables.print_training(self.console, self.findings.training)
        tables.print_skipped(self.console, skipped)

    def memory(self) -> None:
        """Measure peak memory at the greatest length and batch size."""
        length, batch_size = max(self.settings.length or [self.pair.longest]), max(self.settings.batch_size)
        self.findings.memory, skipped = measure_memory(
            self.make_pair, self.inputs, self.retentions, length, batch_size, self.settings
        )
        self.findings.skipped += skipped
        tables.print_memory(self.console, self.findings.memory)
        tables.print_skipped(self.console, skipped)


def _maker(cfg: Mapping[str, Any]) -> Callable[[], Pair]:
    """Return a function that builds the models and can be sent to another process."""
    if cfg["artifact"] is not None:
        return partial(from_artifact, Path(cfg["artifact"]))
    shape: Callable[..., Pair] = instantiate(cfg["shape"])
    return partial(shape, seed=cfg["seed"])
