"""Tables 1 and 2: the paper's figures, and beside them those of the records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from powerbert.report import paper
from powerbert.report.layout import MARK, Number, Row, percent, show
from powerbert.report.paper_notes import notes
from powerbert.report.points import PROTOCOLS, OperatingPoint, Record, choose, disturbed, operating_points
from powerbert.report.table import DISTURBED


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

    Of the runs on a dataset the one is shown that the paper would choose, see `operating_point.choose`.
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
