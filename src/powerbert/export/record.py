"""The export record: one JSON file beside each exported file, and all of them as a table."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from powerbert.export.check import Agreement
from powerbert.export.trial import Outcome, Trial
from powerbert.measure import describe_environment

EXPORT_VERSION = 1
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Record = dict[str, Any]


def build_record(
    model: Mapping[str, Any],
    path: Path,
    format: str,
    precision: str,
    made_up: Agreement,
    trial: Trial | None = None,
    outcome: Outcome | None = None,
) -> Record:
    """What is known of an exported file.

    Args:
        model: What was exported: `artifact`, `input_names`, `max_length` and `retention_configuration`.
        path: Of the file.
        format: A key of `FORMATS`.
        precision: Of the file.
        made_up: Its agreement with the model on made-up inputs.
        trial: The rows that it was tried on; None if it was not.
        outcome: What came out.

    Returns:
        The record. Labels and `largest_difference` are those of the split, or of the made-up inputs where
        `split` is None; `metric` and `latency` are None then.
    """
    checked = made_up if outcome is None else outcome.agreement
    return {
        "export_version": EXPORT_VERSION,
        **model,
        "file": path.name,
        "bytes": path.stat().st_size,
        "format": format,
        "precision": precision,
        "split": None if trial is None else trial.split,
        **asdict(checked),
        "labels_equal": None if checked.labels_differing is None else checked.labels_differing == 0,
        **(_tried(trial, outcome) if trial and outcome else {"metric": None, "latency": None}),
        "environment": describe_environment("cpu") | {name: _version(name) for name in PACKAGES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _tried(trial: Trial, outcome: Outcome) -> Record:
    return {
        "metric": {"name": trial.task.metric, "value": outcome.metric},
        "latency": outcome.latency,
        "pytorch": {"metric": trial.reference.metric, "latency": trial.reference.latency},
        "baseline": {"artifact": trial.baseline_name, "metric": trial.baseline_metric},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def records_table(records: Sequence[Record]) -> Table:
    """Exports of one model, one a line; where they were tried below the fine-tuned one and it, in PyTorch.

    Args:
        records: At least one, of one run.

    Returns:
        The table, for a rich console to print.
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
        table.add_row(
            "before export", "", "", "", _percent(first["pytorch"]["metric"]), *_speed(first["pytorch"])
        )
    for record in records:
        differing = record["labels_differing"]
        cells = [
            f"{record['bytes'] / 1e6:.1f}",
            f"{record['largest_difference']:.1e}",
            "" if differing is None else str(differing),
        ]
        if tried:
            cells += [_percent(record["metric"]["value"]), *_speed(record)]
        table.add_row(Text(record["file"]), *cells)
    return table


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _speed(timed: Mapping[str, Any]) -> list[str]:
    return [f"{timed['latency'][protocol]['speedup']:.2f}x" for protocol in ("padded", "dynamic")]
