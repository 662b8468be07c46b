"""The records of exported files as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

FileRecord = dict[str, Any]
"""The content of the JSON file beside an exported file."""


def records_table(records: Sequence[FileRecord]) -> Table:
    """Return the records of one run as a table for a rich console, one line per file, or per speed of it.

    Where the files were tried on a split, the fine-tuned model and the exported one in PyTorch come first.
    """
    lines = []
    for record in records:
        for found in record.get("speeds", ()):
            lines.append({**record, **found, "file": f"{record['file']}, speed {found['speed']:g}"})
        lines += [] if "speeds" in record else [record]
    first = lines[0]
    tried = first["metric"] is not None
    headers = ["", "MB", "largest\ndifference", "other\nlabels"]
    if tried:
        headers += [f"{first['metric']['name']},\n%", "padded", "dynamic"]
    title = f"{first['artifact']}: {first['inputs']} {first['split'] or 'made-up'} inputs"
    table = number_table(title, *headers)
    if tried:
        table.add_row("fine-tuned", "", "", "", _percent(first["baseline"]["metric"]), "1.00x", "1.00x")
        pytorch = first["pytorch"]
        table.add_row("before export", "", "", "", _percent(pytorch["metric"]), *_speedups(pytorch))
    for record in lines:
        differing = record["labels_differing"]
        cells = [f"{record['bytes'] / 1e6:.1f}", f"{record['largest_difference']:.1e}"]
        cells.append("" if differing is None else str(differing))
        if tried:
            cells += [_percent(record["metric"]["value"]), *_speedups(record)]
        table.add_row(Text(record["file"]), *cells)
    return table


def number_table(title: str, *headers: str) -> Table:
    """Make a table of numbers for a rich console; a column without header holds text."""
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


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _speedups(timed: Mapping[str, Any]) -> list[str]:
    return [f"{timed['latency'][protocol]['speedup']:.2f}x" for protocol in ("padded", "dynamic")]
