"""Judge the targets for BERT-base on a CPU.

Usage: `python experiments/inference/targets.py <folder>/benchmark.json`.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from powerbert.benchmark.results import Inference, Memory, Training
from powerbert.benchmark.runtimes import BASELINE, RUNTIMES

Row = Inference | Training | Memory

SHAPE, DEVICE, LEAST_BATCH_SIZE = "bert_base", "cpu", 8
"""What the targets hold for."""


@dataclass(frozen=True)
class Target:
    """A bound on a number of the results.

    Attributes:
        meaning: of the number.
        rows: which results have it.
        number: its name there.
        relation: on which side of the bound it is to lie.
        bound: itself.
        where: the values that a result must have to be judged.
    """

    meaning: str
    rows: type[Row]
    number: str
    relation: Literal["at least", "at most"]
    bound: float
    where: Mapping[str, Any] = field(default_factory=dict)

    def covers(self, row: Row) -> bool:
        """Whether a result is to be judged."""
        return (
            isinstance(row, self.rows)
            and row.batch_size >= LEAST_BATCH_SIZE
            and all(getattr(row, name) == value for name, value in self.where.items())
        )

    def judge(self, row: Row) -> "Verdict":
        """Compares a result with the bound."""
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
    """Whether a target holds in one result.

    Attributes:
        meaning: of the number.
        setting: where it was measured.
        value: as measured.
        relation: on which side of the bound it is to lie.
        bound: itself.
        holds: whether it does.
    """

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
"""The targets."""


def judge(rows: Iterable[Row], shape: str, device: str) -> list[Verdict]:
    """Judges what was measured.

    Args:
        rows: results of any kind.
        shape: of the model.
        device: the kind of device.

    Returns:
        A verdict for each target and each result that it covers, in the order of the targets; none for
        another shape or device than the targets are meant for.
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
