"""The benchmark's findings on the terminal."""

from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from powerbert.benchmark.findings import Findings
from powerbert.benchmark.inputs import PROTOCOLS
from powerbert.benchmark.results import Inference, Memory, Skipped, Training
from powerbert.benchmark.settings import Cell

NOTES = (
    "ms: a batch, median over the runs ± half the interquartile range. x eager, x sdpa: times faster than "
    "the host in float32, x same: than the host on the same runtime; ratios of the printed times.",
    "FLOPs: the host's operations by the contestant's. eff., the efficiency: x sdpa by FLOPs.",
    *(f"{name}: {meaning}." for name, meaning in PROTOCOLS.items()),
)
"""What the columns mean."""


def print_heading(console: Console, findings: Findings) -> None:
    """Prints what is to be measured, and on what.

    Args:
        console: where to print.
        findings: none yet, but model, inputs and machine.
    """
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
    """Prints the contestants' times at one setting.

    Args:
        console: where to print.
        cell: the setting.
        rows: of that setting, those of a protocol one after another.
        skipped: what was left out there.
    """
    table = _table(str(cell))
    table.add_column("", no_wrap=True)
    with_eager = any(row.speedup_eager is not None for row in rows)
    headers = ("ms", *(["x eager"] if with_eager else []), "x sdpa", "x same", "FLOPs", "eff.")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
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
    """Prints what was left out, and why.

    Args:
        console: where to print.
        skipped: one a line.
    """
    for one in skipped:
        console.print(Text(f"  left out at {one.setting}: {one.what}: {one.reason}"))


def print_training(console: Console, rows: Sequence[Training]) -> None:
    """Prints the training steps.

    Args:
        console: where to print.
        rows: one a setting.
    """
    table = _table("Training steps")
    for header in ("length", "batch", "fine-tuning, ms", "search, ms", "ratio"):
        table.add_column(header, justify="right", no_wrap=True)
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
    """Prints the peaks of memory.

    Args:
        console: where to print.
        rows: of one length and batch size.
    """
    table = _table("Peak memory of a padded forward pass")
    table.add_column("", no_wrap=True)
    for header in ("length", "batch", "the pass", "by sdpa's", "in all"):
        table.add_column(header, justify="right", no_wrap=True)
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
    """Say how much of the processors other processes used, where they disturbed the times."""
    shares = [row.others for row in rows if row.disturbed and row.others is not None]
    if shares:
        console.print(
            Text(f"  disturbed: other processes used up to {max(shares):.0%} of the processors", "bold red")
        )


def _table(title: str) -> Table:
    return Table(
        title=Text(title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
