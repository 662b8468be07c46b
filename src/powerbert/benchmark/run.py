"""Runs a benchmark from its configuration to its files."""

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from powerbert.benchmark import tables
from powerbert.benchmark.findings import Findings, environment_of, make_folder
from powerbert.benchmark.inference import InferenceBenchmark
from powerbert.benchmark.inputs import choose_inputs
from powerbert.benchmark.memory import check_platform, measure_memory
from powerbert.benchmark.pair import Pair, from_artifact
from powerbert.benchmark.results import Skipped, one_line
from powerbert.benchmark.retention import read_retentions
from powerbert.benchmark.settings import USUAL_LENGTH, Settings
from powerbert.benchmark.training import measure_training
from powerbert.run.settings import plain


def run(cfg: DictConfig, console: Console | None = None) -> Findings:
    """Measures what is asked for, prints it, and writes it to the folder `output`.

    Args:
        cfg: the composed configuration of `conf/benchmark.yaml`.
        console: where to print; by default standard output.

    Returns:
        What was found.

    Raises:
        UserError: if a setting cannot be meant, or there is no such model.
    """
    settings = Settings.from_config(cfg)
    if settings.memory:
        check_platform(settings.device)
    if settings.output is not None:
        make_folder(settings.output)
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
    run.conclude()
    return run.findings


class _Run:
    """A benchmark on its way: the models, what they are timed on, and what is known so far."""

    def __init__(self, cfg: DictConfig, settings: Settings, console: Console):
        self.settings, self.console = settings, console
        self.make_pair = _maker(cfg)
        self.pair = self.make_pair()
        self.retentions = read_retentions(cfg, self.pair.encoders, self.pair.longest, self.pair.own)
        self.cells = settings.cells(self.retentions)
        settings.check_lengths(self.cells, self.pair.longest)
        self.inputs = choose_inputs(
            cfg.artifact, self.pair.task, self.pair.config, settings.median_length, settings.seed
        )
        environment = environment_of(settings.device)
        self.findings = Findings(self.pair.name, self.inputs.description, environment, plain(cfg), self.cells)
        tables.print_heading(console, self.findings)

    def inference(self, exports: Path) -> None:
        """Forward passes."""
        benchmark = InferenceBenchmark(self.pair, self.inputs, self.settings, exports)
        for cell in self.cells:
            rows, skipped = benchmark.measure(cell)
            self.findings.inference += rows
            self.findings.skipped += skipped
            tables.print_cell(self.console, cell, rows, skipped)
            if self.settings.output is not None:  # nothing is lost if it is cut short
                self.findings.write_json(self.settings.output)
        self.console.print(*map(Text, tables.NOTES), sep="\n")

    def training(self) -> None:
        """Training steps, which do not depend on what PoWER-BERT retains."""
        skipped = []
        for length, batch_size in product(self.settings.length or [USUAL_LENGTH], self.settings.batch_size):
            try:
                row = measure_training(self.pair, self.inputs, length, batch_size, self.settings)
                self.findings.training.append(row)
            except Exception as error:  # such as a want of memory; the other results are kept
                skipped.append(Skipped(f"length {length}, batch {batch_size}", "training", one_line(error)))
        self.findings.skipped += skipped
        tables.print_training(self.console, self.findings.training)
        tables.print_skipped(self.console, skipped)

    def memory(self) -> None:
        """Peaks of memory, where most is needed: at the greatest length and batch size."""
        length, batch_size = max(self.settings.length or [self.pair.longest]), max(self.settings.batch_size)
        found = measure_memory(
            self.make_pair, self.inputs, self.retentions, length, batch_size, self.settings
        )
        self.findings.memory, skipped = found
        self.findings.skipped += skipped
        tables.print_memory(self.console, self.findings.memory)
        tables.print_skipped(self.console, skipped)

    def conclude(self) -> None:
        """Write the files."""
        output = self.settings.output
        if output is not None:
            self.findings.write(output)
            self.console.print(Text(f"written: {output}"))


def _maker(cfg: DictConfig) -> Callable[[], Pair]:
    """What makes the models; it can be sent to another process."""
    if cfg.artifact is not None:
        return partial(from_artifact, Path(cfg.artifact))
    shape: Callable[..., Pair] = instantiate(cfg.shape)
    return partial(shape, seed=cfg.seed)
