"""Runs on the terminal: one or several as a table, and one as a line of a sweep."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from powerbert.base.errors import ConfigError, DataError
from powerbert.report.frame import PROTOCOLS, metric_label, tabulate
from powerbert.report.table import DISTURBED, change, make_folder, number, percent, show, times
from powerbert.store.facts import retention_facts
from powerbert.store.naming import Record, display, elimination, method_of

TOLERANCE = 0.05
"""By which part of it the measured speed-up may miss its target without a warning."""


def print_summary(*records: Record, console: Console | None = None) -> None:
    """Print a run, or several side by side: each model and the fine-tuned one that it came from.

    Args:
        records: Valid ones of the same fine-tuned model. Where times of the fine-tuned model differ, those of
            the first are shown; gains are each record's own.
        console: By default standard output, without colours when that is piped.
    """
    runs = [tabulate([record]).iloc[0] for record in records]
    methods, first, one = [display(record).label for record in records], runs[0], len(records) == 1
    if len(set(methods)) < len(methods):
        methods = [f"{method} {run['knob']}" for method, run in zip(methods, runs, strict=True)]
    notes: list[str] = []
    rows: dict[str, tuple[str, ...]] = dict(_rows(records[0], first))
    names = ["fine-tuned", methods[0], "gain"]
    if not one:
        names = ["fine-tuned", *methods]
        each = [_rows(record, run) for record, run in zip(records, runs, strict=True)]
        rows = {
            label: (base, *(f"{own[label][1]} ({own[label][2]})" if label in own else "n/a" for own in each))
            for label, (base, *_) in rows.items()
        }
    if any("±" in cell for row in rows.values() for cell in row):
        notes.append("±: interquartile range over the runs")
    notes.insert(
        0, f"padded: to {first['max_length']} word pieces; dynamic: to the longest input of the batch"
    )
    for record, run, method in zip(records, runs, methods, strict=True):
        notes += [note if one else f"{method}: {note}" for note in _notes(record, run)]
    index = pd.MultiIndex.from_product([[""], rows])
    cells = pd.DataFrame(list(rows.values()), index, names)
    what = f"{methods[0]} on" if one else "Methods on"
    knob = f", {first['knob']}" if one else ""
    title = f"{what} {first['dataset']} ({first['model']}{knob}, seed {first['seed']})"
    show(console or Console(), title, cells, notes)


def side_by_side(records: Sequence[Record], output: Path | None) -> None:
    """Print records of one fine-tuned model as columns of one table; write it to `side_by_side.txt`, too.

    Raises:
        DataError: If there are no records.
        ConfigError: If they have several fine-tuned models.
    """
    if not records:
        raise DataError("there are no records to show; give records=<folder>")
    named = ("dataset", "model", "seed")
    if len({(*(r[name] for name in named), r["baseline"].get("artifact")) for r in records}) > 1:
        raise ConfigError("records: they have several fine-tuned models; give those of one, or report=pareto")
    print_summary(*records)
    if output is not None:
        make_folder(output)
        with open(output / "side_by_side.txt", "w", encoding="utf-8") as file:
            print_summary(*records, console=Console(file=file, width=100))


def _rows(record: Record, run: pd.Series) -> dict[str, tuple[str, str, str]]:
    """Write down what the fine-tuned model has, what the model has, and the gain, by label."""
    vectors = record["word_vectors"]
    ratio = vectors["baseline"] / vectors["retained"] if vectors["retained"] else math.nan
    rows = {
        f"{metric_label(run['metric_name'])}, %": (
            percent(run["baseline"]),
            percent(run["metric"]),
            f"{change(run['metric'] - run['baseline'])} points",
        ),
        "word-vectors per input": (str(vectors["baseline"]), str(vectors["retained"]), times(ratio)),
        "GFLOPs per input": (
            _giga(run["flops_baseline"]),
            _giga(run["flops_model"]),
            times(run["flops_speedup"]),
        ),
    }
    if (dynamic := record["flops"].get("dynamic")) is not None:
        numbers = [math.nan if value is None else value for value in dynamic.values()]
        rows["GFLOPs per input, dynamic"] = (_giga(numbers[1]), _giga(numbers[0]), times(numbers[2]))
    for protocol in PROTOCOLS:
        latency = record["latency"][protocol]
        rows[f"ms per batch of {latency['batch_size']}, {protocol}"] = (
            _milliseconds(latency, "baseline"),
            _milliseconds(latency, "model"),
            times(run[f"{protocol}_speedup"], latency.get("disturbed")),
        )
    return rows


def _notes(record: Record, run: pd.Series) -> list[str]:
    """Say what disturbed the timing, what the model retains, and how fast it was to be."""
    notes = []
    for protocol in PROTOCOLS:
        latency = record["latency"][protocol]
        if latency.get("disturbed"):
            others = latency.get("others")
            share = "" if others is None else f" with up to {100 * others:.0f} % of the processors"
            notes.append(f"{DISTURBED} warning: other processes disturbed the {protocol} timing{share}")
    notes += [f"{name}: {', '.join(values)}" for name, values in retention_facts(record)]
    if record.get("cls_alone"):
        notes.append("[CLS] alone in the last encoder")
    if (target := record.get("target")) is not None:
        notes += _target(record, run[f"{target['protocol']}_speedup"])
    return notes


def progress_line(record: Record, position: int, total: int, started: datetime, now: datetime) -> str:
    """Report a finished point of a sweep in one line.

    Args:
        record: Of the point.
        position: Of the point in the sweep, from 1.
        total: Number of points.
        started: When the point's run began, with a time zone.
        now: With a time zone.

    Returns:
        For example `[ 3/34] snippets seed 42 PoWER-BERT lambda=0.001: accuracy 85.20 (-0.65), FLOPs 3.07x,
        padded 2.85x, dynamic 1.64x; 0:04:12`; the time is `recorded` if the record existed before.
    """
    run = tabulate([record]).iloc[0]
    gain = run["metric"] - run["baseline"]
    result = "n/a" if math.isnan(gain) else f"{percent(run['metric'])} ({change(gain)})"
    speedups = [f"FLOPs {times(run['flops_speedup'])}"]
    for protocol in PROTOCOLS:
        sign = " (disturbed)" if run[f"{protocol}_disturbed"] else ""
        speedups.append(f"{protocol} {times(run[f'{protocol}_speedup'])}{sign}")
    created = record.get("created")
    before = created and datetime.fromisoformat(created) < started.replace(microsecond=0)
    time = "recorded" if before else str(timedelta(seconds=round((now - started).total_seconds())))
    place = f"[{position:{len(str(total))}}/{total}]"
    point = f"{run['dataset']} seed {run['seed']} {run['method']} {run['knob']}"
    return f"{place} {point}: {metric_label(run['metric_name'])} {result}, {', '.join(speedups)}; {time}"


def _target(record: Record, measured: float) -> list[str]:
    """State how fast the model was to be and is, which may be NaN; with a warning if the two differ."""
    asked, protocol = record["target"]["speedup"], record["target"]["protocol"]
    lines = [f"target_speedup: asked {asked:g}x ({protocol}), measured {times(measured)}"]
    off = measured / asked - 1
    if abs(off) > TOLERANCE:
        if record["latency"][protocol].get("disturbed"):
            advice = "time it again without other work: python -m powerbert.retime"
        elif method_of(record).get("cost") == "operations":
            advice = "operations do not tell time: method.cost=time"
        elif elimination(record).get("cost") == "operations":
            advice = "operations do not tell time: elimination.cost=time"
        else:
            advice = "if other work ran meanwhile, time it again: python -m powerbert.retime"
        lines.append(f"warning: {100 * abs(off):.0f} % {'faster' if off > 0 else 'slower'}; {advice}")
    return lines


def _milliseconds(latency: dict[str, Any], model: str) -> str:
    """Format the time of the `model` or the `baseline`, with its interquartile range if that is known."""
    value, spread = latency[f"{model}_ms"], latency.get(f"{model}_iqr_ms")
    time = number(value, ".1f")
    return time if value is None or spread is None else f"{time} ± {spread:.1f}"


def _giga(operations: float) -> str:
    """Format a number of operations in units of 10^9 with three significant digits."""
    digits = 2 - math.floor(math.log10(operations / 1e9)) if operations > 0 else 2
    return number(operations / 1e9, f".{min(max(digits, 0), 6)}f")
