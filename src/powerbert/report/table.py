"""Records as tables for the terminal."""

import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerbert.report.points import PROTOCOLS
from powerbert.store.naming import METRIC_NAMES, Record, display

DISTURBED = "‡"
"""Stands behind figures whose timing other processes disturbed."""

_UNKNOWN = "n/a"


def print_summary(record: Record, console: Console | None = None) -> None:
    """Print one run: the model beside the fine-tuned one that it came from.

    Times have their interquartile range over the runs, if the record states it.

    Args:
        record: a valid record.
        console: by default standard output, without colours when that is piped.
    """
    console = console or Console()
    method = _method(record)
    table = _table(
        f"{method} on {record['dataset']} ({record['model']}, {_knob(record)}, seed {record['seed']})"
    )
    table.add_column("", overflow="fold")
    for header in ("fine-tuned", method, "gain"):
        table.add_column(Text(header), justify="right", no_wrap=True)
    baseline, value = record["baseline"]["value"], record["metric"]["value"]
    table.add_row(
        f"{_metric(record)}, %", _percent(baseline), _percent(value), f"{_points(baseline, value)} points"
    )
    vectors, flops = record["word_vectors"], record["flops"]
    table.add_row(
        "word-vectors per input",
        str(vectors["baseline"]),
        str(vectors["retained"]),
        _times(_ratio(vectors["baseline"], vectors["retained"])),
    )
    table.add_row("GFLOPs per input", _giga(flops["baseline"]), _giga(flops["model"]), _times(flops["ratio"]))
    for protocol, meaning in (
        ("padded", f"padded to {record['max_length']}"),
        ("dynamic", "dynamic padding"),
    ):
        latency = record["latency"][protocol]
        table.add_row(
            f"ms per batch of {latency['batch_size']}, {meaning}",
            _time(latency, "baseline"),
            _time(latency, "model"),
            _times(latency["speedup"]) + (DISTURBED if latency.get("disturbed") else ""),
        )
    console.print(table)
    latencies = record["latency"]
    if any(_iqr(latencies[protocol], model) for protocol in PROTOCOLS for model in ("baseline", "model")):
        console.print(Padding(Text("±: interquartile range over the runs"), (0, 2)))
    for protocol in PROTOCOLS:
        if latencies[protocol].get("disturbed"):
            console.print(Padding(Text(_warning(protocol, latencies[protocol]), style="yellow"), (0, 2)))
    if record["retention_configuration"] is not None:
        entries = ", ".join(map(str, record["retention_configuration"]))
        console.print(Padding(Text(f"retention configuration: {entries}"), (0, 2)))


def _table(title: str) -> Table:
    return Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def _method(record: Record) -> str:
    return display(record).label


def _metric(record: Record) -> str:
    name: str = record["metric"]["name"]
    return METRIC_NAMES.get(name, name)


def _knob(record: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in record["knob"].items()) or "no knob"


def _time(latency: Mapping[str, Any], model: str) -> str:
    """Milliseconds of the `model` or the `baseline`."""
    value, spread = latency[f"{model}_ms"], _iqr(latency, model)
    if value is None:
        return _UNKNOWN
    return f"{value:.1f}" if spread is None else f"{value:.1f} ± {spread:.1f}"


def _iqr(latency: Mapping[str, Any], model: str) -> float | None:
    value: float | None = latency.get(f"{model}_iqr_ms")
    return value


def _warning(protocol: str, latency: Mapping[str, Any]) -> str:
    others = latency.get("others")
    share = "" if others is None else f" with up to {100 * others:.0f} % of the processors"
    return f"{DISTURBED} warning: other processes disturbed the {protocol} timing{share}"


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{100 * value:.2f}"


def _points(baseline: float | None, value: float | None) -> str:
    """The change of a metric in percentage points, with its sign."""
    return _UNKNOWN if value is None or baseline is None else f"{100 * (value - baseline):+.2f}"


def _giga(operations: float | None) -> str:
    """Operations in units of 10^9, with three digits that count."""
    if operations is None:
        return _UNKNOWN
    digits = 2 - math.floor(math.log10(operations / 1e9)) if operations > 0 else 2
    return f"{operations / 1e9:.{min(max(digits, 0), 6)}f}"


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def _times(ratio: float | None) -> str:
    return _UNKNOWN if ratio is None else f"{ratio:.2f}x"
