"""Judge the targets for BERT-base on a CPU.

Usage: `python experiments/inference/targets.py <folder>/benchmark.json`.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from powerbert.benchmark.contestants import BASELINE, RUNTIMES
from powerbert.benchmark.results import Inference, Memory, Training

Row = Inference | Training | Memory

SHAPE, DEVICE, LEAST_BATCH_SIZE = "bert_base", "cpu", 8
"""The shape, device and smallest batch size that the targets apply to."""


@dataclass(frozen=True)
class Target:
    """A bound on one number of the results.

    Attributes:
        meaning: Description of the number.
        rows: Class of the results.
        number: Name of the field.
        where: Values of other fields that a result must have to be judged.
    """

    meaning: str
    rows: type[Row]
    number: str
    relation: Literal["at least", "at most"]
    bound: float
    where: Mapping[str, Any] = field(default_factory=dict)

    def covers(self, row: Row) -> bool:
        """Tell whether the target applies to a result."""
        return (
            isinstance(row, self.rows)
            and row.batch_size >= LEAST_BATCH_SIZE
            and all(getattr(row, name) == value for name, value in self.where.items())
        )

    def judge(self, row: Row) -> "Verdict":
        """Compare a result with the bound."""
        value: float = getattr(row, self.number)
        holds = value >= self.bound if self.relation == "at least" else value <= self.bound
        setting = f"length {row.length}, batch {row.batch_size}"
        if not isinstance(row, Training):
            setting = f"{row.retention}, {setting}"
            if row.runtime != BASELINE:
                setting += f", {RUNTIMES[row.runtime].label}"
        return Verdict(self.meaning, setting, value, self.relation, self.bound, holds)


@dataclass(frozen=True)
class Verdict:
    """A target compared with one result."""

    meaning: str
    setting: str
    value: float
    relation: str
    bound: float
    holds: bool


_PADDED = {"role": "power", "protocol": "padded"}

TARGETS = (
    *(
        Target(
            "efficiency: speed-up over sdpa by FLOPs ratio",
            Inference,
            "efficiency",
            "at least",
            0.95,
            _PADDED | {"runtime": runtime, "retention": name, "length": length},
        )
        for runtime in (BASELINE, "onednn")
        for name, length in (("paper_cola", 64), ("paper_figure1", 128), ("paper_rte", 256))
    ),
    Target(
        "full retention: time by that of sdpa",
        Inference,
        "time_ratio",
        "at most",
        1.02,
        _PADDED | {"runtime": BASELINE, "retention": "full"},
    ),
    Target(
        "training: step of the search by one of fine-tuning",
        Training,
        "time_ratio",
        "at most",
        1.15,
        {"length": 128},
    ),
    Target(
        "peak memory of a pass by that of sdpa",
        Memory,
        "ratio",
        "at most",
        1.1,
        {"role": "power", "runtime": BASELINE, "length": 512, "batch_size": 32},
    ),
)


def judge(rows: Iterable[Row], shape: str, device: str) -> list[Verdict]:
    """Compare each target with each result that it covers, in the order of the targets.

    The list is empty for another shape or kind of device than the targets'.
    """
    if (shape, device) != (SHAPE, DEVICE):
        return []
    known = list(rows)
    return [target.judge(row) for target in TARGETS for row in known if target.covers(row)]


def read_rows(found: Mapping[str, Any]) -> list[Row]:
    """Read the rows of a `benchmark.json`."""
    return [
        *(Inference(**row) for row in found["inference"]),
        *(Training(**row) for row in found["training"]),
        *(Memory(**row) for row in found["memory"]),
    ]


def main(path: Path) -> None:
    """Print each verdict on a line."""
    found = json.loads(path.read_text(encoding="utf-8"))
    verdicts = judge(read_rows(found), found["model"], found["environment"]["device"])
    if not verdicts:
        print(f"{path}: no result that a target covers (shape {SHAPE} on {DEVICE})")
    for one in verdicts:
        holds = "holds" if one.holds else "does not hold"
        print(f"{one.meaning}; {one.setting}: {one.value:.3f}, {one.relation} {one.bound:.2f}: {holds}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
