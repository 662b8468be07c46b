"""Records as tables for the terminal."""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerbert.store.naming import METRIC_NAMES, Record, display

_UNKNOWN = "n/a"


def print_summary(record: Record, console: Console | None = None) -> None:
    """Prints one run: the model beside the fine-tuned one that it came from.

    Args:
        record: a valid record.
        console: where to print; by default standard output, without colours when that is piped.
    """
    console = console or Console()
    method = _method(record)
    table = _table(
        f"{method} on {record['dataset']} ({record['model']}, {_knob(record)}, seed {record['seed']})"
    )
    table.add_column("", no_wrap=True)
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
            _number(latency["baseline_ms"], ".1f"),
            _number(latency["model_ms"], ".1f"),
            _times(latency["speedup"]),
        )
    console.print(table)
    if record["retention_configuration"] is not None:
        entries = ", ".join(map(str, record["retention_configuration"]))
        console.print(Padding(Text(f"retention configuration: {entries}"), (0, 2)))


def records_table(records: Sequence[Record]) -> Table:
    """Lists runs, one a line.

    What is the same in all of them (data set, model, method, seed) moves from the lines to the title.
    Word-vectors and FLOPs are times fewer, padded and dynamic times faster than the fine-tuned model.

    Args:
        records: at least one valid record.

    Returns:
        The table, for a rich console to print.
    """
    names = [(r["dataset"], r["model"], _method(r), f"seed {r['seed']}") for r in records]
    varies = [len(set(values)) > 1 for values in zip(*names, strict=True)]
    shared = (part for part, varying in zip(names[0], varies, strict=True) if not varying)
    table = _table(", ".join(shared))
    table.add_column("run")
    metrics = {record["metric"]["name"] for record in records}
    metric = _metric(records[0]) if len(metrics) == 1 else "metric"
    for header in (f"{metric},\n%", "change,\npoints", "word-\nvectors", "FLOPs", "padded", "dynamic"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, record in zip(names, records, strict=True):
        own = [part for part, varying in zip(name, varies, strict=True) if varying]
        value, vectors = record["metric"]["value"], record["word_vectors"]
        table.add_row(
            Text(", ".join([*own, _knob(record)])),
            _percent(value),
            _points(record["baseline"]["value"], value),
            _times(_ratio(vectors["baseline"], vectors["retained"])),
            _times(record["flops"]["ratio"]),
            _times(record["latency"]["padded"]["speedup"]),
            _times(record["latency"]["dynamic"]["speedup"]),
        )
    return table


def _table(title: str) -> Table:
    return Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def _method(record: Record) -> str:
    return display(record).label


def _metric(record: Record) -> str:
    name: str = record["metric"]["name"]
    return METRIC_NAMES.get(name, name)


def _knob(record: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in record["knob"].items()) or "no knob"


def _number(value: float | None, form: str) -> str:
    return _UNKNOWN if value is None else format(value, form)


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
