"""The layout of the paper's tables: its figures and ours line by line, on the terminal and in files."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from powerbert.base.markdown import text
from powerbert.report.table import DISTURBED

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
