"""All that a benchmark has found, and its files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from powerbert.base.errors import ConfigError
from powerbert.base.figures import save
from powerbert.base.files import write_synced
from powerbert.benchmark.figure import draw, tabulate
from powerbert.benchmark.results import Inference, Memory, Skipped, Training
from powerbert.benchmark.settings import Cell
from powerbert.measure import describe_environment

BENCHMARK_VERSION = 1


@dataclass
class Findings:
    """What is known so far.

    Attributes:
        model: its name.
        inputs: where they come from.
        environment: versions and machine.
        config: the settings of the command line, and the defaults of the others.
        cells: what is to be measured.
        inference: forward passes.
        training: training steps.
        memory: peaks.
        skipped: what was left out.
    """

    model: str
    inputs: str
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    cells: Sequence[Cell]
    inference: list[Inference] = field(default_factory=list)
    training: list[Training] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def machine(self) -> str:
        """What the models run on, for people."""
        if self.environment["device"] != "cpu":
            return str(self.environment["device"])
        return "{cpu} ({cpu_capability}), {threads} of {cores} cores".format(**self.environment)

    def write_json(self, output: Path) -> None:
        """Writes `benchmark.json`: everything, so that nothing is lost if the benchmark is cut short.

        Args:
            output: the folder, which must exist.
        """
        retentions = {
            (cell.retention.name, cell.length): cell.retention.at(cell.length) for cell in self.cells
        }
        everything = {
            "benchmark_version": BENCHMARK_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self.model,
            "inputs": self.inputs,
            "environment": self.environment,
            "config": {key: value for key, value in self.config.items() if key not in ("output", "paths")},
            "retentions": [
                {"retention": name, "length": length, "configuration": configuration}
                for (name, length), configuration in retentions.items()
            ],
            "inference": [asdict(row) for row in self.inference],
            "training": [asdict(row) for row in self.training],
            "memory": [asdict(row) for row in self.memory],
            "skipped": [asdict(one) for one in self.skipped],
        }
        write_synced(output / "benchmark.json", everything)

    def write(self, output: Path) -> None:
        """Writes everything: also `inference.csv`, `.png` and `.svg`, `training.csv` and `memory.csv`.

        Args:
            output: the folder, which must exist. Files of what was not measured are not written.
        """
        self.write_json(output)
        if self.inference:
            figure = draw(self.inference, f"{self.model}: wall-clock speed-up on {self.machine}")
            save(figure, tabulate(self.inference), output, "inference")
        for name, rows in (("training", self.training), ("memory", self.memory)):
            if rows:
                table = pd.DataFrame([asdict(row) for row in rows])
                table.to_csv(output / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def environment_of(device: torch.device) -> dict[str, Any]:
    """Describes machine and software as records do, and what else decides how fast a model runs.

    Args:
        device: where the models run.

    Returns:
        As `describe_environment`, with `cpu_capability` (the widest instructions that torch uses), and the
        versions of `onnxruntime` and `cuda`, None where there is none.
    """
    try:
        onnxruntime = version("onnxruntime")
    except PackageNotFoundError:
        onnxruntime = None
    return {
        **describe_environment(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onnxruntime": onnxruntime,
        "cuda": torch.version.cuda,
    }


def make_folder(output: Path) -> None:
    """Makes the folder of the files, before anything is measured.

    Args:
        output: the folder.

    Raises:
        ConfigError: if it cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: {output} cannot be made a folder ({error.strerror})") from error
