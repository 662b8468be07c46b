"""Judge the targets for BERT-base on a CPU.

Usage: `python experiments/inference/targets.py <folder>/benchmark.json`.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from powerbert.benchmark.contestants import BASELINE, RUNTIMES

SHAPE, DEVICE, LEAST_BATCH_SIZE = "bert_base", "cpu", 8
"""The shape, device and smallest batch size that the targets apply to."""


@dataclass(frozen=True)
class Target:
    """A bound on one number of the results.

    Attributes:
        meaning: Description of the number.
        kind: Key of the results in `benchmark.json`: inference, training or memory.
        number: Name of the field; `time_ratio` of inference is 1 / `speedup`.
        where: Values of other fields that a result must have to be judged.
    """

    meaning: str
    kind: str
    number: str
    relation: Literal["at least", "at most"]
    bound: float
    where: Mapping[str, Any] = field(default_factory=dict)

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Tell whether the target applies to a result of its kind."""
        return row["batch_size"] >= LEAST_BATCH_SIZE and self.where.items() <= row.items()

    def judge(self, row: Mapping[str, Any]) -> "Verdict":
        """Compare a result with the bound."""
        value = row[self.number]
        holds = value >= self.bound if self.relation == "at least" else value <= self.bound
        setting = f"length {row['length']}, batch {row['batch_size']}"
        if self.kind != "training":
            setting = f"{row['retention']}, {setting}"
            if row["runtime"] != BASELINE:
                setting += f", {RUNTIMES[row['runtime']].label}"
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
            "inference",
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
        "inference",
        "time_ratio",
        "at most",
        1.02,
        _PADDED | {"runtime": BASELINE, "retention": "full"},
    ),
    Target(
        "training: step of the search by one of fine-tuning",
        "training",
        "time_ratio",
        "at most",
        1.15,
        {"length": 128},
    ),
    Target(
        "peak memory of a pass by that of sdpa",
        "memory",
        "ratio",
        "at most",
        1.1,
        {"role": "power", "runtime": BASELINE, "length": 512, "batch_size": 32},
    ),
)


def judge(found: Mapping[str, Any]) -> list[Verdict]:
    """Compare each target with each result of a `benchmark.json` that it covers, in the order of the targets.

    The list is empty for another shape or kind of device than the targets'.
    """
    if (found["model"], found["environment"]["device"]) != (SHAPE, DEVICE):
        return []
    inference = [row | {"time_ratio": 1 / row["speedup"]} for row in found["inference"]]
    rows = {"inference": inference, "training": found["training"], "memory": found["memory"]}
    return [target.judge(row) for target in TARGETS for row in rows[target.kind] if target.covers(row)]


def main(path: Path) -> None:
    """Print each verdict on a line."""
    verdicts = judge(json.loads(path.read_text(encoding="utf-8")))
    if not verdicts:
        print(f"{path}: no result that a target covers (shape {SHAPE} on {DEVICE})")
    for one in verdicts:
        holds = "holds" if one.holds else "does not hold"
        print(f"{one.meaning}; {one.setting}: {one.value:.3f}, {one.relation} {one.bound:.2f}: {holds}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
