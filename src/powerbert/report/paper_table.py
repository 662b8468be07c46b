"""Tables 1 and 2: the paper's figures beside those of the records, and how each side was measured."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from powerbert.report import paper
from powerbert.report.paper import MARK, Number, Row, percent, show
from powerbert.report.points import (
    PROTOCOLS,
    OperatingPoint,
    Record,
    choose,
    chosen_on_evaluation,
    disturbed,
    operating_points,
)
from powerbert.report.table import DISTURBED
from powerbert.store.naming import METRIC_NAMES


def paper_table(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    table: str,
    model: str | None = None,
    tolerance: float = 1.0,
    console: Console | None = None,
) -> None:
    """Prints a table of the paper with our figures in it, and writes it as CSV and Markdown.

    Of the runs on a dataset the one is shown that the paper would choose, see `points.choose`.
    Datasets that the paper does not have are appended.

    Args:
        records: valid ones; those of PoWER-BERT on `model` with the paper's word-vector selection count.
        output: folder for `<table>.csv` and `<table>.md`, made if missing; None writes none.
        table: `table1` or `table2`.
        model: whose records to take; None for the model of the paper's table.
        tolerance: points of the metric that may be lost for speed.
        console: where to print; by default standard output.

    Raises:
        ConfigError: if there is no such table.
    """
    console = console or Console()
    theirs = paper.comparison_table(table)
    model = model or theirs.model
    points = _points([record for record in records if _counts(record, model)], tolerance / 100)
    datasets = [*theirs.comparisons, *sorted(set(points) - set(theirs.comparisons))]
    names = {key: setup.name for key, setup in paper.setup().datasets.items()}
    header = {dataset: names.get(dataset, dataset) for dataset in datasets}
    outside = frozenset(d for d, point in points.items() if not point.within(tolerance / 100))
    rows = list(_rows(theirs, points, outside))
    title = f"Table {table.removeprefix('table')} of the paper and ours ({model})"
    lines = notes(points, header, model)
    if outside:
        lines.append(f"{MARK} no run is within {tolerance:g} of its baseline on dev; the best one is shown")
    if any(row.disturbed for row in rows):
        lines.append(f"{DISTURBED} other processes disturbed the timing of a run")
    show(table, title, rows, header, lines, output, console)


def _counts(record: Record, model: str) -> bool:
    selection = record["config"].get("elimination", {}).get("selection", "attn")
    return bool(record["method"] == "power_bert" and record["model"] == model and selection == "attn")


def _points(records: Sequence[Record], tolerance: float) -> dict[str, OperatingPoint]:
    """The run that represents each dataset; `tolerance` is a fraction."""
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        by_dataset.setdefault(record["dataset"], []).append(record)
    return {d: choose(operating_points(group), tolerance) for d, group in by_dataset.items()}


def _rows(
    theirs: paper.ComparisonTable, points: Mapping[str, OperatingPoint], outside: frozenset[str]
) -> Iterator[Row]:
    def printed(field: str) -> dict[str, Number]:
        return {dataset: getattr(figures, field) for dataset, figures in theirs.comparisons.items()}

    def ours(value: Callable[[OperatingPoint], Number]) -> dict[str, Number]:
        return {dataset: value(point) for dataset, point in points.items()}

    def in_percent(field: str) -> dict[str, Number]:
        means = ours(lambda point: point.mean(field, "value"))
        return {dataset: None if mean is None else 100 * mean for dataset, mean in means.items()}

    def milliseconds(field: str) -> dict[str, Number]:
        return ours(lambda point: point.mean("latency", "padded", field))

    padded, dynamic = (
        frozenset(dataset for dataset, point in points.items() if disturbed(point.records, protocol))
        for protocol in PROTOCOLS
    )
    metric, time, speedup = "Metric, %", "Inference, ms", "Speedup"
    yield Row(metric, f"{theirs.baseline} paper", printed("baseline_metric"), percent)
    yield Row(metric, f"{theirs.baseline} ours", in_percent("baseline"), percent)
    yield Row(metric, "PoWER-BERT paper", printed("metric"), percent)
    yield Row(metric, "PoWER-BERT ours", in_percent("metric"), percent, outside)
    yield Row(time, f"{theirs.baseline} paper", printed("baseline_ms"), _milliseconds)
    yield Row(time, f"{theirs.baseline} ours", milliseconds("baseline_ms"), _milliseconds, disturbed=padded)
    yield Row(time, "PoWER-BERT paper", printed("model_ms"), _milliseconds)
    yield Row(time, "PoWER-BERT ours", milliseconds("model_ms"), _milliseconds, disturbed=padded)
    yield Row(speedup, "paper", printed("speedup"), _times)
    yield Row(speedup, "ours", ours(lambda point: point.speedup("padded")), _times, disturbed=padded)
    yield Row(
        speedup, "ours, dynamic", ours(lambda point: point.speedup("dynamic")), _times, disturbed=dynamic
    )


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _times(value: float) -> str:
    return f"{value:.1f}x"


Points = Mapping[str, OperatingPoint]
Names = Mapping[str, str]


def notes(points: Points, names: Names, model: str) -> list[str]:
    """Says how the paper's and our figures came about, and where they cannot be compared.

    Args:
        points: the run that represents a dataset, by dataset.
        names: of all the table's datasets, as they are to be written.
        model: ours.

    Returns:
        One line for each thing to know.
    """
    setup = paper.setup()
    batch = {
        dataset: f"{setup.datasets[dataset].batch_size}" for dataset in names if dataset in setup.datasets
    }
    lines = [
        f"paper: metric on the test split; {setup.device}, batch of {_varying(batch, names)}, "
        f"mean of {setup.runs} runs"
    ]
    if not points:
        return [*lines, f"ours: there are no records of power_bert on {model}"]

    def ours(value: Callable[[Record], str]) -> str:
        return _varying({dataset: value(point.records[0]) for dataset, point in points.items()}, names)

    seeds = _varying({dataset: f"{len(point.records)}" for dataset, point in points.items()}, names)
    lines += [
        f"ours: chosen on dev, metric on {ours(_split)}; {ours(_device)}, batch of {ours(_batch_size)}, "
        f"{ours(_timing)}; number of seeds: {seeds}",
        f"ours, knob: {ours(_knob)}",
        "times: every input padded to the dataset's length; dynamic: sorted by length, padded to the longest "
        f"input of the batch ({ours(_dynamic)})",
    ]
    optimistic = [
        names[key] for key, point in points.items() if any(map(chosen_on_evaluation, point.records))
    ]
    if optimistic:
        lines.append(
            f"dev is also the evaluation split, so the choice is optimistic: {', '.join(optimistic)}"
        )
    differences = {
        dataset: _difference(points[dataset].records[0], setup.datasets[dataset])
        for dataset in names
        if dataset in points and dataset in setup.datasets
    }
    stated = "; ".join(f"{names[dataset]} ({what})" for dataset, what in differences.items() if what)
    return [*lines, f"not as in the paper: {stated}"] if stated else lines


def _varying(values: Mapping[str, str], names: Names) -> str:
    """The commonest value, and in brackets the datasets with another."""
    (common, _), *others = Counter(values.values()).most_common()
    exceptions = [
        f"{', '.join(names[dataset] for dataset in names if values.get(dataset) == other)}: {other}"
        for other, _ in others
    ]
    return f"{common} ({'; '.join(exceptions)})" if exceptions else common


def _difference(record: Record, setup: paper.DatasetSetup) -> str:
    """What of our setup makes a column something else than the paper's; empty if nothing does."""
    metric = record["metric"]["name"]
    pairs: list[tuple[str, Any, Any]] = [
        ("metric", METRIC_NAMES.get(metric, metric), METRIC_NAMES.get(setup.metric, setup.metric)),
        ("length", record["max_length"], setup.max_length),
        ("batch", record["latency"]["padded"]["batch_size"], setup.batch_size),
    ]
    return ", ".join(f"{what} {ours}, paper {theirs}" for what, ours, theirs in pairs if ours != theirs)


def _split(record: Record) -> str:
    return str(record["metric"].get("split", "an unknown split"))


def _device(record: Record) -> str:
    environment = record["environment"]
    device = environment.get("device", "unknown device")
    return f"{environment['cpu']} (CPU)" if device == "cpu" and "cpu" in environment else str(device)


def _batch_size(record: Record) -> str:
    return str(record["latency"]["padded"]["batch_size"])


def _timing(record: Record) -> str:
    padded = record["latency"]["padded"]
    if "runs" not in padded:
        return "unknown number of runs"
    return f"{padded.get('statistic', 'average')} of {padded['runs']} runs"


def _dynamic(record: Record) -> str:
    return f"batch of {record['latency']['dynamic']['batch_size']}"


def _knob(record: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in record["knob"].items()) or "none"
