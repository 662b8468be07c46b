"""The results of a benchmark, rows of plain values, and the files that hold them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from powerbert.base.errors import UserError
from powerbert.base.figures import save
from powerbert.base.files import write_synced
from powerbert.benchmark.figure import draw, tabulate
from powerbert.export.onnx_file import onnx_versions
from powerbert.measure import describe_environment

BENCHMARK_VERSION = 1

Row = dict[str, Any]


def left_out(setting: object, what: str, error: Exception) -> Row:
    """Describe a measurement that was left out and why, in at most 200 characters."""
    reason = " ".join(str(error).split())
    if not isinstance(error, UserError):
        reason = f"{type(error).__name__}: {reason}"
    return {"setting": str(setting), "what": what, "reason": reason[:200]}


def environment_of(device: torch.device) -> dict[str, Any]:
    """Describe machine and software as records do, with further facts that decide a model's speed.

    The additions are `cpu_capability` (the widest instructions that torch uses) and the versions of
    `onnxruntime` and `cuda`, None if missing.
    """
    return {
        **describe_environment(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onnxruntime": onnx_versions()["onnxruntime"],
        "cuda": torch.version.cuda,
    }


def machine(environment: Mapping[str, Any]) -> str:
    """Name the GPU, or the CPU with its threads."""
    if environment["device"] != "cpu":
        return str(environment["device"])
    return "{cpu} ({cpu_capability}), {threads} of {cores} cores".format(**environment)


def write_json(found: Mapping[str, Any], output: Path) -> None:
    """Write `benchmark.json` to an existing folder."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    header = {"benchmark_version": BENCHMARK_VERSION, "created": created}
    write_synced(output / "benchmark.json", {**header, **found})


def write_files(found: Mapping[str, Any], output: Path) -> None:
    """Write `benchmark.json`, and a table of each kind of result, with a figure for forward passes."""
    write_json(found, output)
    if found["inference"]:
        title = f"{found['model']}: wall-clock speed-up on {machine(found['environment'])}"
        title += ", [CLS] alone in the last encoder of all" if found["config"]["cls_alone"] else ""
        table = tabulate(found["inference"])
        save(draw(table, title), table, output, "inference")
    for name in ("training", "memory"):
        if found[name]:
            table = pd.DataFrame(found[name])
            table.to_csv(output / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
