"""The one style of tables, on the terminal and in files, and how numbers are written in them."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from powerbert.base.errors import ConfigError
from powerbert.base.markdown import text

DISTURBED = "‡"
"""Follows a number whose timing other processes disturbed."""

_LABEL_WIDTH = 20  # characters; longer labels are folded where the table would not fit otherwise


class Row(NamedTuple):
    """A row of figures; a column without a value leaves its cell empty, NaN is an unknown number."""

    section: str
    label: str
    values: Mapping[str, float]
    form: Callable[[float], str]
    signs: Mapping[str, str] = {}

    def cell(self, column: str) -> str:
        """Write a column's value down, with the sign that follows it."""
        if column not in self.values:
            return ""
        value = self.values[column]
        return ("n/a" if math.isnan(value) else self.form(value)) + self.signs.get(column, "")


def publish(
    name: str,
    title: str,
    rows: Sequence[Row],
    header: Mapping[str, str],
    notes: Sequence[str],
    output: Path | None,
    console: Console,
) -> None:
    """Print figures as `show` does, and write them to `<name>.csv` and `<name>.md`.

    Args:
        name: Of the files.
        title: Stands above.
        rows: Those of one section follow one another.
        header: The columns' names by their key in `Row.values`, in order.
        notes: Stand beneath, one a line.
        output: Folder of the files; None writes none.
        console: Where to print.
    """
    index = pd.MultiIndex.from_tuples([row[:2] for row in rows], names=["quantity", "row"])
    cells = pd.DataFrame([[row.cell(key) for key in header] for row in rows], index, list(header.values()))
    show(console, title, cells, notes)
    if output is None:
        return
    make_folder(output)
    values = [[round(row.values.get(key, math.nan), 4) for key in header] for row in rows]
    numbers = pd.DataFrame(values, index, list(header), dtype=object)  # whole numbers stay whole
    write_csv(numbers.reset_index(), output / f"{name}.csv")
    (output / f"{name}.md").write_text(_markdown(title, cells, notes), encoding="utf-8")
    console.print(Text(f"written: {output / name}.csv, {output / name}.md"))


def show(console: Console, title: str, cells: pd.DataFrame, notes: Sequence[str] = ()) -> None:
    """Print a table, cut into blocks of columns where it is wider than the console.

    Args:
        console: Where to print.
        title: Stands above.
        cells: Texts, indexed by section (its rows follow one another) and label.
        notes: Stand beneath, one a line.
    """
    console.print(Text(title, style="bold"))
    for block in _blocks(cells, console.width):
        console.print(_rich_table(block), "")
    if notes:
        console.print(*map(Text, notes), sep="\n")


def write_csv(numbers: pd.DataFrame, path: Path) -> None:
    """Write numbers with more digits than a table shows."""
    numbers.to_csv(path, index=False, float_format="%.8g", lineterminator="\n")


def make_folder(output: Path) -> None:
    """Make the folder of a report's files, unless it exists.

    Raises:
        ConfigError: naming `output`, if that fails.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: {output} cannot be made a folder ({error.strerror})") from error


def number(value: float | None, form: str) -> str:
    """Format a number; "n/a" if it is unknown, that is None or NaN."""
    return "n/a" if value is None or math.isnan(value) else format(value, form)


def percent(value: float, error: float = math.nan) -> str:
    """Format a metric, a fraction, in percent with its standard error if that is known."""
    mean = number(100 * value, ".2f")
    return mean if math.isnan(error) else f"{mean} ± {100 * error:.2f}"


def change(value: float) -> str:
    """Format the change of a metric, a fraction, in points with its sign."""
    return number(100 * value, "+.2f")


def times(ratio: float, disturbed: bool | None = False) -> str:
    """Format a speed-up, marked if its timing was disturbed."""
    figure = "n/a" if math.isnan(ratio) else f"{ratio:.2f}x"
    return figure + DISTURBED if disturbed else figure


def _markdown(title: str, cells: pd.DataFrame, notes: Sequence[str]) -> str:
    """Return what `show` prints as Markdown in which every text is shown as it is."""
    rows = [["", "", *cells.columns]]
    for section, group in groupby(cells.itertuples(name=None), key=lambda row: row[0][0]):
        for (_, label), *texts in group:
            rows.append([section, label, *texts])
            section = ""
    lines = ["| " + " | ".join(map(text, row)) + " |" for row in rows]
    rule = "| --- | --- | " + " | ".join("---:" for _ in cells) + " |"
    return "\n".join(
        [f"**{text(title)}**", "", lines[0], rule, *lines[1:], "", *(f"- {text(note)}" for note in notes), ""]
    )


def _blocks(cells: pd.DataFrame, width: int) -> list[pd.DataFrame]:
    """Cut a table into as few blocks of equally many columns as fit the width."""
    labels = max(cell_len(f" {label}") for _, label in cells.index)
    room = width - min(labels, _LABEL_WIDTH)
    widths = [
        1 + max(cell_len(line) for cell in [name, *column] for line in cell.split("\n"))
        for name, column in cells.items()
    ]
    columns = len(widths)
    for count in range(1, columns + 1):
        size = math.ceil(columns / count)
        starts = range(0, columns, size)
        if all(sum(widths[start : start + size]) <= room for start in starts):
            break
    return [cells.iloc[:, start : start + size] for start in starts]


def _rich_table(cells: pd.DataFrame) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in cells.columns:
        table.add_column(Text(name), justify="right", overflow="fold")
    for section, group in groupby(cells.itertuples(name=None), key=lambda row: row[0][0]):
        if section:
            table.add_section()
            table.add_row(Text(section, style="bold"))
        for (_, label), *texts in group:
            table.add_row(Text(f" {label}" if section else label), *map(Text, texts))
    return table
