"""The paper's own results as data, and the layout of its tables: its figures and ours line by line."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from powerbert.base.errors import ConfigError
from powerbert.base.markdown import text
from powerbert.report.table import DISTURBED

COMPARISONS = ("table1", "table2")
"""The tables that compare PoWER-BERT with the model that it accelerates."""


@dataclass(frozen=True)
class DatasetSetup:
    """How the paper evaluates on a dataset.

    Attributes:
        name: of the dataset, as the paper writes it.
        metric: `accuracy`, `f1`, `matthews_correlation` or `spearman`.
        max_length: l, the number of word pieces that inputs are padded to.
        batch_size: inputs of a timed batch.
    """

    name: str
    metric: str
    max_length: int
    batch_size: int


@dataclass(frozen=True)
class Setup:
    """How the paper evaluates: `device` and `runs` of the timing, and the datasets by our name."""

    device: str
    runs: int
    datasets: Mapping[str, DatasetSetup]


@dataclass(frozen=True)
class Comparison:
    """PoWER-BERT against its baseline on one dataset.

    Attributes:
        baseline_metric: of the fine-tuned model on the test split, in percent.
        metric: that of PoWER-BERT.
        baseline_ms: inference time of the fine-tuned model, in milliseconds per batch.
        model_ms: that of PoWER-BERT.
        speedup: the ratio of the two, as printed.
    """

    baseline_metric: float
    metric: float
    baseline_ms: float
    model_ms: float
    speedup: float


@dataclass(frozen=True)
class ComparisonTable:
    """Table 1 or 2.

    Attributes:
        baseline: what the paper calls the model that is accelerated.
        model: our name of it, as in `conf/model/`.
        comparisons: by our name of the dataset, in the paper's order.
    """

    baseline: str
    model: str
    comparisons: Mapping[str, Comparison]


@dataclass(frozen=True)
class SelectionTable:
    """Table 3: ways of word-vector selection under one retention configuration.

    Attributes:
        dataset: our name of the dataset; its dev split is evaluated.
        model: our name of the model, as in `conf/model/`.
        retention_configuration: as printed: nine entries, though BERT-base has twelve encoders.
        length_threshold: inputs of more word pieces than this are the long ones.
        all: accuracy on the whole split in percent, by selection (`head`, `rand`, `attn`).
        long: accuracy on the long inputs.
    """

    dataset: str
    model: str
    retention_configuration: tuple[int, ...]
    length_threshold: int
    all: Mapping[str, float]
    long: Mapping[str, float]


def setup() -> Setup:
    """How the paper evaluates, for Tables 1 and 2 alike."""
    data = _data()["setup"]
    datasets = {key: DatasetSetup(**values) for key, values in data["datasets"].items()}
    return Setup(data["device"], data["runs"], datasets)


def comparison_table(name: str) -> ComparisonTable:
    """Table 1 (BERT) or Table 2 (ALBERT).

    Args:
        name: `table1` or `table2`.

    Raises:
        ConfigError: if there is no such table.
    """
    if name not in COMPARISONS:
        raise ConfigError(f"report.table: '{name}' is unknown; choose one of {', '.join(COMPARISONS)}")
    data = _data()[name]
    figures = zip(*(data[field] for field in Comparison.__dataclass_fields__), strict=True)
    comparisons = (Comparison(*column) for column in figures)
    return ComparisonTable(
        data["baseline"], data["model"], dict(zip(data["datasets"], comparisons, strict=True))
    )


def selection_table() -> SelectionTable:
    """Table 3: Head-WS, Rand-WS and Attn-WS."""
    data = _data()["table3"]
    return SelectionTable(**{**data, "retention_configuration": tuple(data["retention_configuration"])})


@cache
def _data() -> dict[str, Any]:
    data: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("paper_tables.yaml")))
    return data


Number = float | None
MARK = "†"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        section: which quantity it belongs to.
        label: whose figures they are.
        values: by column; a column that is missing leaves its cell empty, None is an unknown number.
        form: writes a number down.
        marked: the columns whose cell refers to a note.
        disturbed: the columns whose timing other processes disturbed.
    """

    section: str
    label: str
    values: Mapping[str, Number]
    form: Callable[[float], str]
    marked: frozenset[str] = frozenset()
    disturbed: frozenset[str] = frozenset()

    def cell(self, column: str) -> str:
        """The cell's text."""
        if column not in self.values:
            return ""
        value = self.values[column]
        text = "n/a" if value is None else self.form(value)
        text += MARK if column in self.marked else ""
        return text + DISTURBED if column in self.disturbed else text


def show(
    name: str,
    title: str,
    rows: Sequence[Row],
    header: Mapping[str, str],
    notes: Sequence[str],
    output: Path | None,
    console: Console,
) -> None:
    """Prints a table, and writes it as CSV and Markdown.

    Args:
        name: of the files.
        title: stands above.
        rows: the lines, those of a section one after another.
        header: the columns' names for people, by key, in order.
        notes: stand beneath, one a line.
        output: folder for `<name>.csv` and `<name>.md`, made if missing; None writes none.
        console: where to print.
    """
    console.print(Text(title, style="bold"))
    for block in _blocks(rows, header, console):
        console.print(block, "")
    console.print(*map(Text, notes), sep="\n")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        _write_csv(output / f"{name}.csv", rows, header)
        markdown = _markdown(title, rows, header, notes)
        (output / f"{name}.md").write_text(markdown, encoding="utf-8")
        console.print(Text(f"written: {output / name}.csv, {output / name}.md"))


def percent(value: float) -> str:
    """A metric as the paper prints it."""
    return f"{value:.1f}"


def _blocks(rows: Sequence[Row], header: Mapping[str, str], console: Console) -> list[Table]:
    """The table, cut into as few blocks of columns as fit the console's width."""
    columns = list(header)
    unbounded = console.options.update(width=10_000)
    for count in range(1, len(columns) + 1):
        size = -(-len(columns) // count)
        blocks = [
            _block(rows, {key: header[key] for key in columns[start : start + size]})
            for start in range(0, len(columns), size)
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
        table.add_row(Text(f" {row.label}"), *(row.cell(column) for column in header))
    return table


def _write_csv(path: Path, rows: Sequence[Row], header: Mapping[str, str]) -> None:
    """Numbers with more digits than the table shows; the columns by their keys."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["quantity", "row", *header])
        for row in rows:
            values = [row.values.get(column) for column in header]
            figures = ["" if value is None else round(value, 4) for value in values]
            writer.writerow([row.section, row.label, *figures])


def _markdown(title: str, rows: Sequence[Row], header: Mapping[str, str], lines: Sequence[str]) -> str:
    table = [["", "", *header.values()], ["---", "---", *("---:" for _ in header)]]
    section = ""
    for row in rows:
        first = row.section if row.section != section else ""
        section = row.section
        table.append([first, row.label, *(row.cell(column) for column in header)])
    head, rule, *others = table
    cells = [map(text, head), rule, *(map(text, row) for row in others)]
    body = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([f"**{text(title)}**", "", *body, "", *(f"- {text(line)}" for line in lines)]) + "\n"
