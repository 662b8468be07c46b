"""The export record: one JSON file beside each exported file, and all of them as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from powerbert.measure import describe_environment

EXPORT_VERSION = 1
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Record = dict[str, Any]


def build_record(
    model: Mapping[str, Any], path: Path, precision: str, split: str | None, checked: Mapping[str, Any]
) -> Record:
    """Collect the facts of an exported file.

    Args:
        model: `artifact`, `format`, `input_names`, `max_length` and `retention_configuration`.
        path: The file.
        precision: Its precision.
        split: The split that it was checked on; None for made-up inputs.
        checked: `agreement` and, if checked on a split, the other entries of `try_files`.
    """
    found = dict(checked)
    differing = found["agreement"].labels_differing
    return {
        "export_version": EXPORT_VERSION,
        **model,
        "file": path.name,
        "bytes": path.stat().st_size,
        "precision": precision,
        "split": split,
        **asdict(found.pop("agreement")),
        "labels_equal": None if differing is None else differing == 0,
        "metric": None,
        "latency": None,
        **found,
        "environment": describe_environment("cpu") | {name: _version(name) for name in PACKAGES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def records_table(records: Sequence[Record]) -> Table:
    """Return the records of one run as a table for a rich console, one line per file.

    Where the files were tried on a split, the fine-tuned model and the exported one in PyTorch come first.
    """
    first = records[0]
    tried = first["metric"] is not None
    title = f"{first['artifact']}: {first['inputs']} {first['split'] or 'made-up'} inputs"
    table = Table(
        title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False
    )
    table.add_column("", no_wrap=True)
    headers = ["MB", "largest\ndifference", "other\nlabels"]
    if tried:
        headers += [f"{first['metric']['name']},\n%", "padded", "dynamic"]
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    if tried:
        table.add_row("fine-tuned", "", "", "", _percent(first["baseline"]["metric"]), "1.00x", "1.00x")
        pytorch = first["pytorch"]
        table.add_row("before export", "", "", "", _percent(pytorch["metric"]), *_speedups(pytorch))
    for record in records:
        differing = record["labels_differing"]
        cells = [f"{record['bytes'] / 1e6:.1f}", f"{record['largest_difference']:.1e}"]
        cells.append("" if differing is None else str(differing))
        if tried:
            cells += [_percent(record["metric"]["value"]), *_speedups(record)]
        table.add_row(Text(record["file"]), *cells)
    return table


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _speedups(timed: Mapping[str, Any]) -> list[str]:
    return [f"{timed['latency'][protocol]['speedup']:.2f}x" for protocol in ("padded", "dynamic")]
