"""Tables 1 and 2: the paper's figures, and beside them those of the records."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from powerbert.report import paper
from powerbert.report.operating_point import OperatingPoint, Record, choose, operating_points
from powerbert.report.paper_notes import notes

Number = float | None
_OUTSIDE = "†"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        section: which quantity it belongs to.
        label: whose figures they are.
        values: by dataset; a dataset that is missing leaves its cell empty, None is an unknown number.
        form: writes a number down.
        marked: the datasets whose cell refers to the note on the tolerance.
    """

    section: str
    label: str
    values: Mapping[str, Number]
    form: Callable[[float], str]
    marked: frozenset[str] = frozenset()

    def cell(self, dataset: str) -> str:
        """The cell's text."""
        if dataset not in self.values:
            return ""
        value = self.values[dataset]
        text = "n/a" if value is None else self.form(value)
        return text + _OUTSIDE if dataset in self.marked else text


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
        lines.append(
            f"{_OUTSIDE} no run is within {tolerance:g} of its baseline on dev; the best one is shown"
        )

    console.print(Text(title, style="bold"))
    for block in _blocks(rows, header, console):
        console.print(block, "")
    console.print(*map(Text, lines), sep="\n")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        _write_csv(output / f"{table}.csv", rows, header)
        markdown = _markdown(title, rows, header, lines)
        (output / f"{table}.md").write_text(markdown, encoding="utf-8")
        console.print(Text(f"written: {output / table}.csv, {output / table}.md"))


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

    def percent(field: str) -> dict[str, Number]:
        means = ours(lambda point: point.mean(field, "value"))
        return {dataset: None if mean is None else 100 * mean for dataset, mean in means.items()}

    def milliseconds(field: str) -> dict[str, Number]:
        return ours(lambda point: point.mean("latency", "padded", field))

    metric, time, speedup = "Metric, %", "Inference, ms", "Speedup"
    yield Row(metric, f"{theirs.baseline} paper", printed("baseline_metric"), _percent)
    yield Row(metric, f"{theirs.baseline} ours", percent("baseline"), _percent)
    yield Row(metric, "PoWER-BERT paper", printed("metric"), _percent)
    yield Row(metric, "PoWER-BERT ours", percent("metric"), _percent, outside)
    yield Row(time, f"{theirs.baseline} paper", printed("baseline_ms"), _milliseconds)
    yield Row(time, f"{theirs.baseline} ours", milliseconds("baseline_ms"), _milliseconds)
    yield Row(time, "PoWER-BERT paper", printed("model_ms"), _milliseconds)
    yield Row(time, "PoWER-BERT ours", milliseconds("model_ms"), _milliseconds)
    yield Row(speedup, "paper", printed("speedup"), _times)
    yield Row(speedup, "ours", ours(lambda point: point.speedup("padded")), _times)
    yield Row(speedup, "ours, dynamic", ours(lambda point: point.speedup("dynamic")), _times)


def _percent(value: float) -> str:
    return f"{value:.1f}"


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _times(value: float) -> str:
    return f"{value:.1f}x"


def _blocks(rows: Sequence[Row], header: Mapping[str, str], console: Console) -> list[Table]:
    """The table, cut into as few blocks of columns as fit the console's width."""
    datasets = list(header)
    unbounded = console.options.update(width=10_000)
    for count in range(1, len(datasets) + 1):
        size = -(-len(datasets) // count)
        blocks = [
            _block(rows, {d: header[d] for d in datasets[start : start + size]})
            for start in range(0, len(datasets), size)
        ]
        widest = max(Measurement.get(console, unbounded, block).maximum for block in blocks)
        if widest <= console.width:
            break
    return blocks


def _block(rows: Sequence[Row], header: Mapping[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in header.values():
        table.add_column(Text(name), justify="right", no_wrap=True)
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            table.add_section()
            table.add_row(Text(section, style="bold"))
        table.add_row(Text(f" {row.label}"), *(row.cell(dataset) for dataset in header))
    return table


def _write_csv(path: Path, rows: Sequence[Row], header: Mapping[str, str]) -> None:
    """Numbers with more digits than the table shows; the datasets by our names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["quantity", "row", *header])
        for row in rows:
            values = [row.values.get(dataset) for dataset in header]
            figures = ["" if value is None else round(value, 4) for value in values]
            writer.writerow([row.section, row.label, *figures])


def _markdown(title: str, rows: Sequence[Row], header: Mapping[str, str], lines: Sequence[str]) -> str:
    table = [["", "", *header.values()], ["---", "---", *("---:" for _ in header)]]
    section = ""
    for row in rows:
        first = row.section if row.section != section else ""
        section = row.section
        table.append([first, row.label, *(row.cell(dataset) for dataset in header)])
    body = ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join([f"**{title}**", "", *body, "", *(f"- {line}" for line in lines)]) + "\n"
