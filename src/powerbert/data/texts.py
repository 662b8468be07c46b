"""Texts of a file, to be labelled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from powerbert.data.readers import MalformedRowError, read_rows
from powerbert.data.task import Task


def read_texts(path: Path, task: Task) -> Iterator[tuple[Any, ...]]:
    """Reads the inputs of a file.

    Args:
        path: `.jsonl`, `.csv`, `.tsv` or `.parquet` with the task's text columns; `.txt` holds a text a line,
            the texts of a pair separated by a tab.
        task: says which columns, and whether the second holds choices.

    Yields:
        For each row its texts; for multiple choice a text and the list of its choices.

    Raises:
        DataError: naming file and row.
    """
    columns = task.text_columns
    has_header = not path.name.removesuffix(".gz").endswith(".txt")
    for row in read_rows(path, columns, header=None if has_header else columns):
        if isinstance(row, MalformedRowError):
            raise row
        if task.is_multiple_choice:
            yield row.text(columns[0]), row.texts(columns[1], task.num_choices)
        else:
            yield tuple(row.text(column) for column in columns)
