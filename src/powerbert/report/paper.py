"""Tables 1, 2 and 3 of the paper: its figures beside ours, and how each side was measured."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from rich.console import Console

from powerbert.base.errors import ConfigError
from powerbert.report.frame import PROTOCOLS, metric_label, tabulate
from powerbert.report.points import average, fastest
from powerbert.report.table import DISTURBED, Row, number, publish
from powerbert.store.naming import SELECTION_NAMES, Record

COMPARISONS = ("table1", "table2")
OUTSIDE = "†"
"""Follows a metric that is not within the tolerance."""

Points = Mapping[str, Mapping[str, Any]]
"""Points of `points.average` by column of the table."""

_percent, _times = "{:.1f}".format, "{:.1f}x".format


@cache
def printed() -> dict[str, Any]:
    """Return `paper_tables.yaml`: what the paper prints, and how it evaluates."""
    data: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("paper_tables.yaml")))
    return data


def paper_table(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    table: str,
    model: str | None = None,
    tolerance: float = 1.0,
    console: Console | None = None,
) -> None:
    """Print Table 1 or 2 with our figures in it, and write it as CSV and Markdown.

    Of the runs on a dataset, the one that the paper would choose is shown, see `points.fastest`; if none is
    within the tolerance, the one with the best metric on dev. Datasets that the paper lacks are appended.

    Args:
        records: Valid ones; those of PoWER-BERT on `model` with the paper's word-vector selection count.
        output: Folder for `<table>.csv` and `<table>.md`; None writes none.
        table: `table1` or `table2`.
        model: Whose records to take; None for the model of the paper's table.
        tolerance: Points of the metric that may be lost for speed.

    Raises:
        ConfigError: if there is no such table.
    """
    if table not in COMPARISONS:
        raise ConfigError(f"report.table: '{table}' is unknown; choose one of {', '.join(COMPARISONS)}")
    theirs = printed()[table]
    model = model or theirs["model"]
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        if (record["method"], record["model"], _selection(record)) == ("power_bert", model, "attn"):
            by_dataset.setdefault(record["dataset"], []).append(record)
    points = {dataset: _representative(group, tolerance / 100) for dataset, group in by_dataset.items()}
    setups = printed()["setup"]["datasets"]
    datasets = [*theirs["datasets"], *sorted(set(points) - set(theirs["datasets"]))]
    header = {dataset: setups.get(dataset, {}).get("name", dataset) for dataset in datasets}
    rows = list(_comparison_rows(theirs, points))
    notes = _notes(points, header, model)
    if not all(point["within"] for point in points.values()):
        notes.append(
            f"{OUTSIDE} no run is within {tolerance:g} of its baseline on dev; the best one is shown"
        )
    if any(DISTURBED in row.signs.values() for row in rows):
        notes.append(f"{DISTURBED} other processes disturbed the timing of a run")
    title = f"Table {table.removeprefix('table')} of the paper and ours ({model})"
    publish(table, title, rows, header, notes, output, console or Console())


def selection_table(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    dataset: str | None = None,
    model: str | None = None,
    console: Console | None = None,
) -> None:
    """Print Table 3 with our figures in it, and write `selection_table.csv` and `.md`.

    Runs that differ in more than selection and seed are never put into the same row.

    Args:
        records: Valid ones; those of PoWER-BERT that were evaluated on long inputs too (`longer_than`) count.
        output: Folder for the files; None writes none.
        dataset: Whose records to take; None for the paper's.
        model: Whose records to take; None for the paper's.
    """
    theirs = printed()["table3"]
    dataset, model = dataset or theirs["dataset"], model or theirs["model"]
    settings: dict[str, list[Record]] = {}
    for record in records:
        shown = (record["method"], record["dataset"], record["model"]) == ("power_bert", dataset, model)
        if shown and record.get("longer_than"):
            settings.setdefault(_setting(record), []).append(record)
    longer = "Input sequence length > {}"
    whole = [Row("Entire dataset", "paper", theirs["all"], _percent)]
    long = [Row(longer.format(theirs["length_threshold"]), "paper", theirs["long"], _percent)]
    configuration = tuple(theirs["retention_configuration"])
    split = f"dev split of {theirs['dataset']}"
    notes = [f"paper: accuracy, % on the {split}; retention configuration {configuration}"]
    for position, group in enumerate(settings.values(), start=1):
        label = "ours" if len(settings) == 1 else f"ours {position}"
        runs = tabulate(group).assign(selection=[_selection(record) for record in group])
        points = {selection: average(same) for selection, same in runs.groupby("selection")}
        threshold = group[0]["longer_than"]["word_pieces"]
        whole.append(Row("Entire dataset", label, _column(points, "metric", 100), _percent))
        long.append(Row(longer.format(threshold), label, _column(points, "longer", 100), _percent))
        notes.append(f"{label}: {_selection_note(runs, points)}")
    if not settings:
        notes.append(f"ours: there are no records of power_bert with longer_than on {model} and {dataset}")
    title = f"Table 3 of the paper and ours ({model} on {dataset})"
    publish("selection_table", title, [*whole, *long], SELECTION_NAMES, notes, output, console or Console())


def _selection(record: Record) -> str:
    selection: str = record["config"].get("elimination", {}).get("selection", "attn")
    return selection


def _representative(records: Sequence[Record], tolerance: float) -> dict[str, Any]:
    """Choose the point that stands for a dataset; `within` says whether it is within the tolerance."""
    settings = tabulate(records).groupby("run", sort=False)
    points = pd.DataFrame([average(runs) for _, runs in settings])
    best = fastest(points, "padded", tolerance)
    shown = points.sort_values("dev", ascending=False, kind="stable").iloc[0] if best is None else best
    return {**shown, "within": best is not None}


def _comparison_rows(theirs: Mapping[str, Any], points: Points) -> Iterator[Row]:
    def paper(field: str) -> dict[str, float]:
        return dict(zip(theirs["datasets"], theirs[field], strict=True))

    def ours(column: str, scale: float = 1) -> dict[str, float]:
        return _column(points, column, scale)

    outside = {dataset: OUTSIDE for dataset, point in points.items() if not point["within"]}
    padded, dynamic = (
        {dataset: DISTURBED for dataset, point in points.items() if point[f"{protocol}_disturbed"]}
        for protocol in PROTOCOLS
    )
    metric, time, speedup, dense = "Metric, %", "Inference, ms", "Speedup", theirs["baseline"]
    yield Row(metric, f"{dense} paper", paper("baseline_metric"), _percent)
    yield Row(metric, f"{dense} ours", ours("baseline", 100), _percent)
    yield Row(metric, "PoWER-BERT paper", paper("metric"), _percent)
    yield Row(metric, "PoWER-BERT ours", ours("metric", 100), _percent, outside)
    yield Row(time, f"{dense} paper", paper("baseline_ms"), _milliseconds)
    yield Row(time, f"{dense} ours", ours("padded_baseline"), _milliseconds, padded)
    yield Row(time, "PoWER-BERT paper", paper("model_ms"), _milliseconds)
    yield Row(time, "PoWER-BERT ours", ours("padded_model"), _milliseconds, padded)
    yield Row(speedup, "paper", paper("speedup"), _times)
    yield Row(speedup, "ours", ours("padded_speedup"), _times, padded)
    yield Row(speedup, "ours, dynamic", ours("dynamic_speedup"), _times, dynamic)


def _column(points: Points, column: str, scale: float = 1) -> dict[str, float]:
    return {key: scale * point[column] for key, point in points.items()}


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _notes(points: Points, names: Mapping[str, str], model: str) -> list[str]:
    """Say how the paper's and our figures were measured, and where they cannot be compared."""
    setup = printed()["setup"]
    setups = {dataset: setup["datasets"][dataset] for dataset in names if dataset in setup["datasets"]}
    batch = _varying({dataset: one["batch_size"] for dataset, one in setups.items()}, names)
    notes = [
        f"paper: metric on the test split; {setup['device']}, batch of {batch}, mean of {setup['runs']} runs"
    ]
    if not points:
        return [*notes, f"ours: there are no records of power_bert on {model}"]

    def ours(column: str, form: Callable[[Any], object] = str) -> str:
        return _varying({dataset: form(point[column]) for dataset, point in points.items()}, names)

    notes += [
        f"ours: chosen on dev, metric on {ours('split')}; {ours('records', _device)}, batch of "
        f"{ours('padded_batch_size')}, {ours('records', _timing)}; number of seeds: {ours('seeds', len)}",
        f"ours, knob: {ours('knob')}",
        "times: every input padded to the dataset's length; dynamic: sorted by length, padded to the longest "
        f"input of the batch (batch of {ours('dynamic_batch_size')})",
    ]
    optimistic = ", ".join(names[dataset] for dataset, point in points.items() if point["on_evaluation"])
    if optimistic:
        notes.append(f"dev is also the evaluation split, so the choice is optimistic: {optimistic}")
    compared = [dataset for dataset in setups if dataset in points]
    differences = {names[dataset]: _difference(points[dataset], setups[dataset]) for dataset in compared}
    stated = "; ".join(f"{name} ({what})" for name, what in differences.items() if what)
    return [*notes, f"not as in the paper: {stated}"] if stated else notes


def _varying(values: Mapping[str, object], names: Mapping[str, str]) -> str:
    """Write the commonest value, and in brackets the datasets with another."""
    (common, _), *others = Counter(values.values()).most_common()
    exceptions = [
        f"{', '.join(names[dataset] for dataset in names if values.get(dataset) == other)}: {other}"
        for other, _ in others
    ]
    return f"{common} ({'; '.join(exceptions)})" if exceptions else f"{common}"


def _difference(point: Mapping[str, Any], setup: Mapping[str, Any]) -> str:
    """Say what makes a column of ours something else than the paper's; empty if nothing does."""
    pairs: list[tuple[str, Any, Any]] = [
        ("metric", metric_label(point["metric_name"]), metric_label(setup["metric"])),
        ("length", point["max_length"], setup["max_length"]),
        ("batch", point["padded_batch_size"], setup["batch_size"]),
    ]
    return ", ".join(f"{what} {ours}, paper {theirs}" for what, ours, theirs in pairs if ours != theirs)


def _device(records: Sequence[Record]) -> str:
    environment = records[0]["environment"]
    device = environment.get("device", "unknown device")
    return f"{environment['cpu']} (CPU)" if device == "cpu" and "cpu" in environment else str(device)


def _timing(records: Sequence[Record]) -> str:
    padded = records[0]["latency"]["padded"]
    if "runs" not in padded:
        return "unknown number of runs"
    return f"{padded.get('statistic', 'average')} of {padded['runs']} runs"


def _setting(record: Record) -> str:
    """Return what runs of one row of Table 3 share, as JSON."""
    shared = [
        record["retention_configuration"],
        record["max_length"],
        record["longer_than"]["word_pieces"],
        _without(record["config"], {"seed", "selection", "display"}),
    ]
    return json.dumps(shared, sort_keys=True)


def _without(config: Any, keys: set[str]) -> Any:
    """Drop these keys at any depth; the method's settings hold the elimination's too."""
    if not isinstance(config, Mapping):
        return config
    return {key: _without(value, keys) for key, value in config.items() if key not in keys}


def _selection_note(runs: pd.DataFrame, points: Points) -> str:
    """Say under which conditions a row was measured, and what the model scored before elimination."""
    first = runs.iloc[0]
    record = first["record"]
    seeds = [f"{len(points[key]['seeds'])} {name}" for key, name in SELECTION_NAMES.items() if key in points]
    on_all, on_longer = (number(100 * fmean(runs[name]), ".1f") for name in ("baseline", "longer_baseline"))
    return "; ".join(
        [
            f"{metric_label(first['metric_name'])}, % on the {first['split']} split",
            f"{record['longer_than']['inputs']} inputs are longer",
            f"retention configuration {tuple(record['retention_configuration'] or ())}",
            f"number of seeds: {', '.join(seeds)}",
            f"fine-tuned model: {on_all} on all, {on_longer} on the longer",
        ]
    )
