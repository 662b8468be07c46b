"""Table 3: ways of word-vector selection under one retention configuration, the paper's figures and ours."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from powerbert.report import paper
from powerbert.report.paper import Row, percent, show
from powerbert.report.points import OperatingPoint, Record
from powerbert.store.naming import METRIC_NAMES
from powerbert.store.naming import SELECTION_NAMES as NAMES

Points = Mapping[str, OperatingPoint]
"""By selection, the mean over the seeds."""


def selection_table(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    dataset: str | None = None,
    model: str | None = None,
    console: Console | None = None,
) -> None:
    """Prints Table 3 with our figures in it, and writes `selection_table.csv` and `.md`.

    Runs that differ in more than selection and seed are never put into the same line.

    Args:
        records: valid ones; those of PoWER-BERT that were evaluated on long inputs too (`longer_than`) count.
        output: folder for the files, made if missing; None writes none.
        dataset: whose records to take; None for the paper's.
        model: whose records to take; None for the paper's.
        console: where to print; by default standard output.
    """
    theirs = paper.selection_table()
    dataset, model = dataset or theirs.dataset, model or theirs.model
    settings = _settings(
        [
            record
            for record in records
            if record["method"] == "power_bert"
            and (record["dataset"], record["model"]) == (dataset, model)
            and record.get("longer_than")
        ]
    )
    labels = ["ours"] if len(settings) == 1 else [f"ours {number}" for number in range(1, len(settings) + 1)]
    ours = dict(zip(labels, settings, strict=True))
    title = f"Table 3 of the paper and ours ({model} on {dataset})"
    notes = [
        f"paper: accuracy, % on the dev split of {theirs.dataset}; retention configuration "
        f"{theirs.retention_configuration}"
    ]
    notes += [_note(label, points) for label, points in ours.items()]
    if not ours:
        notes.append(f"ours: there are no records of power_bert with longer_than on {model} and {dataset}")
    rows = list(_rows(theirs, ours))
    show("selection_table", title, rows, NAMES, notes, output, console or Console())


def _settings(records: Sequence[Record]) -> list[Points]:
    """The records by what they share beside selection and seed, then by selection."""
    groups: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        shared = [
            record["retention_configuration"],
            record["max_length"],
            record["longer_than"]["word_pieces"],
            _without(record["config"], {"seed", "selection", "display"}),
        ]
        group = groups.setdefault(json.dumps(shared, sort_keys=True), {})
        selection = record["config"].get("elimination", {}).get("selection", "attn")
        group.setdefault(selection, []).append(record)
    return [{name: OperatingPoint(tuple(runs)) for name, runs in group.items()} for group in groups.values()]


def _without(value: Any, keys: set[str]) -> Any:
    """A configuration without these keys, wherever they occur; the method's holds the elimination's too."""
    if not isinstance(value, Mapping):
        return value
    return {key: _without(nested, keys) for key, nested in value.items() if key not in keys}


def _rows(theirs: paper.SelectionTable, ours: Mapping[str, Points]) -> Iterator[Row]:
    yield Row("Entire dataset", "paper", theirs.all, percent)
    for label, points in ours.items():
        yield Row("Entire dataset", label, _in_percent(points, "metric"), percent)
    yield Row(_longer(theirs.length_threshold), "paper", theirs.long, percent)
    for label, points in ours.items():
        threshold = _any(points)["longer_than"]["word_pieces"]
        yield Row(_longer(threshold), label, _in_percent(points, "longer_than"), percent)


def _longer(word_pieces: int) -> str:
    return f"Input sequence length > {word_pieces}"


def _in_percent(points: Points, field: str) -> dict[str, float | None]:
    means = {name: point.mean(field, "value") for name, point in points.items()}
    return {name: None if mean is None else 100 * mean for name, mean in means.items()}


def _note(label: str, points: Points) -> str:
    """Under which conditions a line of ours was measured, and what the model scored before elimination."""
    record = _any(points)
    metric, longer = record["metric"], record["longer_than"]
    name = METRIC_NAMES.get(metric["name"], metric["name"])
    seeds = ", ".join(f"{len(points[key].records)} {NAMES[key]}" for key in NAMES if key in points)
    baselines = [
        "n/a" if mean is None else percent(100 * mean)
        for mean in (_baseline(points, "baseline", "value"), _baseline(points, "longer_than", "baseline"))
    ]
    parts = [
        f"{name}, % on the {metric.get('split', 'evaluation')} split",
        f"{longer['inputs']} inputs are longer",
        f"retention configuration {tuple(record['retention_configuration'] or ())}",
        f"number of seeds: {seeds}",
        f"fine-tuned model: {baselines[0]} on all, {baselines[1]} on the longer",
    ]
    return f"{label}: {'; '.join(parts)}"


def _baseline(points: Points, *path: str) -> float | None:
    """The fine-tuned model's figure, over the runs of all selections."""
    return OperatingPoint(tuple(record for point in points.values() for record in point.records)).mean(*path)


def _any(points: Points) -> Record:
    return next(iter(points.values())).records[0]
