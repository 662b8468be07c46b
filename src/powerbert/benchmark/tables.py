"""Results on the terminal."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from powerbert.benchmark.contestants import Contestant
from powerbert.benchmark.inputs import PROTOCOLS
from powerbert.benchmark.results import Row, machine
from powerbert.export.table import number_table

CLS_ALONE = "[CLS] alone in the last one, of every model, the host's too"

NOTES = (
    "ms: a batch, median over the runs ± half the interquartile range. x eager, x sdpa: times faster than "
    "the host in float32, x same: than the host on the same runtime; ratios of the printed times.",
    "FLOPs: the host's operations by the contestant's. eff., the efficiency: x sdpa by FLOPs.",
    *(f"{name}: {meaning}." for name, meaning in PROTOCOLS.items()),
)
"""Meaning of the columns."""


def print_heading(console: Console, found: Mapping[str, Any]) -> None:
    """Print model, inputs and machine."""
    environment = found["environment"]
    versions = ("python", "torch", "transformers", "onnxruntime", "powerbert")
    for label, text in (
        ("model", found["model"]),
        ("inputs", found["inputs"]),
        ("machine", machine(environment)),
        ("versions", ", ".join(f"{key} {environment[key]}" for key in versions if environment[key])),
    ):
        console.print(Text(f"{label:<9} {text}"))
    if found["config"]["cls_alone"]:
        console.print(Text(f"{'encoders':<9} {CLS_ALONE}"))


def print_inference(console: Console, title: str, rows: Sequence[Row]) -> None:
    """Print all times at one setting; the rows of a protocol follow one another."""
    with_eager = any(row["speedup_eager"] is not None for row in rows)
    eager_header = ["x eager"] if with_eager else []
    table = number_table(title, "", "ms", *eager_header, "x sdpa", "x same", "FLOPs", "eff.")
    for protocol, group in groupby(rows, key=lambda row: row["protocol"]):
        of_protocol = list(group)
        table.add_section()
        table.add_row(Text(f"{protocol}, {of_protocol[0]['mean_length']:.0f} word pieces", style="bold"))
        for row in of_protocol:
            power = row["role"] == "power"
            disturbed = " (disturbed)" if row["disturbed"] else ""
            table.add_row(
                Text(f" {_label(row)}{disturbed}"),
                _time(row["ms"], row["iqr_ms"]),
                *([_ratio(row["speedup_eager"])] if with_eager else []),
                _ratio(row["speedup"]),
                *(_ratio(row[key]) if power else "" for key in ("speedup_same", "flops_ratio", "efficiency")),
            )
    console.print(*([Text(), table] if rows else [Text()]), sep="\n")
    _warn(console, rows)


def print_training(console: Console, rows: Sequence[Row]) -> None:
    """Print times of training steps."""
    table = number_table("Training steps", "length", "batch", "fine-tuning, ms", "search, ms", "ratio")
    for row in rows:
        table.add_row(
            str(row["length"]),
            str(row["batch_size"]),
            _time(row["plain_ms"], row["plain_iqr_ms"]),
            _time(row["soft_ms"], row["soft_iqr_ms"]),
            _ratio(row["time_ratio"]),
        )
    console.print(Text(), table, sep="\n")
    _warn(console, rows)


def print_memory(console: Console, rows: Sequence[Row]) -> None:
    """Print peak memory at one length and batch size."""
    title = "Peak memory of a padded forward pass"
    table = number_table(title, "", "length", "batch", "the pass", "by sdpa's", "in all")
    for row in rows:
        table.add_row(
            _label(row) if row["retention"] is None else f"{_label(row)}, {row['retention']}",
            str(row["length"]),
            str(row["batch_size"]),
            decimal(row["forward_bytes"]),
            _ratio(row["ratio"]),
            decimal(row["total_bytes"]),
        )
    console.print(Text(), table, sep="\n")


def print_skipped(console: Console, skipped: Sequence[Row]) -> None:
    """Print what was left out, and why."""
    for one in skipped:
        console.print(Text(f"  left out at {one['setting']}: {one['what']}: {one['reason']}"))


def _warn(console: Console, rows: Sequence[Row]) -> None:
    """Report the share of the processors that other processes used, if it disturbed the times."""
    shares = [row["others"] for row in rows if row["disturbed"]]
    if shares:
        console.print(
            Text(f"  disturbed: other processes used up to {max(shares):.0%} of the processors", "bold red")
        )


def _label(row: Row) -> str:
    return Contestant(row["role"], row["runtime"]).label


def _time(ms: float, iqr_ms: float) -> str:
    def digits(value: float) -> int:
        return 0 if value >= 100 else 1 if value >= 10 else 2

    half = iqr_ms / 2
    return f"{ms:.{digits(ms)}f} ± {half:.{digits(half)}f}"


def _ratio(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
