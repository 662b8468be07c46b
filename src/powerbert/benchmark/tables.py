"""Results on the terminal."""

from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from powerbert.benchmark.inputs import PROTOCOLS
from powerbert.benchmark.results import Findings, Inference, Memory, Skipped, Training
from powerbert.benchmark.settings import Cell

NOTES = (
    "ms: a batch, median over the runs ± half the interquartile range. x eager, x sdpa: times faster than "
    "the host in float32, x same: than the host on the same runtime; ratios of the printed times.",
    "FLOPs: the host's operations by the contestant's. eff., the efficiency: x sdpa by FLOPs.",
    *(f"{name}: {meaning}." for name, meaning in PROTOCOLS.items()),
)
"""Meaning of the columns."""


def print_heading(console: Console, findings: Findings) -> None:
    """Print model, inputs and machine."""
    environment = findings.environment
    versions = ("python", "torch", "transformers", "onnxruntime", "powerbert")
    for label, text in (
        ("model", findings.model),
        ("inputs", findings.inputs),
        ("machine", findings.machine),
        ("versions", ", ".join(f"{key} {environment[key]}" for key in versions if environment[key])),
    ):
        console.print(Text(f"{label:<9} {text}"))


def print_cell(console: Console, cell: Cell, rows: Sequence[Inference], skipped: Sequence[Skipped]) -> None:
    """Print all times at one setting; the rows of a protocol follow one another."""
    with_eager = any(row.speedup_eager is not None for row in rows)
    eager_header = ["x eager"] if with_eager else []
    table = _table(str(cell), "", "ms", *eager_header, "x sdpa", "x same", "FLOPs", "eff.")
    for protocol, group in groupby(rows, key=lambda row: row.protocol):
        of_protocol = list(group)
        table.add_section()
        table.add_row(Text(f"{protocol}, {of_protocol[0].mean_length:.0f} word pieces", style="bold"))
        for row in of_protocol:
            power = row.role == "power"
            disturbed = " (disturbed)" if row.disturbed else ""
            table.add_row(
                Text(f" {row.contestant.label}{disturbed}"),
                f"{_ms(row.ms)} ± {_ms(row.iqr_ms / 2)}",
                *([_ratio(row.speedup_eager)] if with_eager else []),
                _ratio(row.speedup),
                _ratio(row.speedup_same) if power else "",
                _ratio(row.flops_ratio) if power else "",
                _ratio(row.efficiency) if power else "",
            )
    console.print()
    if rows:
        console.print(table)
    _warn(console, rows)
    print_skipped(console, skipped)


def print_skipped(console: Console, skipped: Sequence[Skipped]) -> None:
    """Print what was left out, and why."""
    for one in skipped:
        console.print(Text(f"  left out at {one.setting}: {one.what}: {one.reason}"))


def print_training(console: Console, rows: Sequence[Training]) -> None:
    """Print times of training steps."""
    table = _table("Training steps", "length", "batch", "fine-tuning, ms", "search, ms", "ratio")
    for row in rows:
        table.add_row(
            str(row.length),
            str(row.batch_size),
            f"{_ms(row.plain_ms)} ± {_ms(row.plain_iqr_ms / 2)}",
            f"{_ms(row.soft_ms)} ± {_ms(row.soft_iqr_ms / 2)}",
            _ratio(row.time_ratio),
        )
    console.print()
    console.print(table)
    _warn(console, rows)


def print_memory(console: Console, rows: Sequence[Memory]) -> None:
    """Print peak memory at one length and batch size."""
    title = "Peak memory of a padded forward pass"
    table = _table(title, "", "length", "batch", "the pass", "by sdpa's", "in all")
    for row in rows:
        table.add_row(
            row.contestant.label if row.retention is None else f"{row.contestant.label}, {row.retention}",
            str(row.length),
            str(row.batch_size),
            decimal(row.forward_bytes),
            _ratio(row.ratio),
            decimal(row.total_bytes),
        )
    console.print()
    console.print(table)


def _warn(console: Console, rows: Sequence[Inference] | Sequence[Training]) -> None:
    """Report the share of the processors that other processes used, if it disturbed the times."""
    shares = [row.others for row in rows if row.disturbed and row.others is not None]
    if shares:
        console.print(
            Text(f"  disturbed: other processes used up to {max(shares):.0%} of the processors", "bold red")
        )


def _table(title: str, *headers: str) -> Table:
    """Make a table of numbers; a column without header holds text."""
    table = Table(
        title=Text(title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    for header in headers:
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    return table


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
