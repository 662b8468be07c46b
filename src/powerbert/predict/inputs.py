"""The rows of `input=`, read one at a time."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from powerbert.base.errors import ConfigError, DataError
from powerbert.data import Task
from powerbert.data.folder import check_form, file_series
from powerbert.data.readers import USUAL, Form, check_file, column_names, find_form, read_rows

Row = dict[str, Any]
"""A row's ids and texts by column; for multiple choice the second text is a list of texts."""

PAIRS = (("text", "text_pair"), ("query", "passage"))
"""The columns of a pair for a classifier without a manifest."""


class Inputs:
    """A file, the shards or the only file of a folder, or the files of a pattern in the order of their names.

    A `.txt` file without a `header` holds one text per line, those of a pair separated by a tab.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        delimiter: str | None = None,
        encoding: str = "utf-8",
        header: Sequence[str] | None = None,
    ):
        """Find the files; none is read yet. The settings are those of `FolderSource`.

        Raises:
            ConfigError: Naming the key of an invalid value.
            DataError: If there is no such file, it is empty or of another kind, or a folder has several.
        """
        self.delimiter = check_form("", delimiter, encoding)
        self.encoding = encoding
        self.header = header
        self.files = _find(str(place))
        for path in self.files:
            check_file(path)
        self._forms: dict[tuple[Path, tuple[str, ...]], Form] = {}

    def parts(self) -> int | None:
        """Return how many texts a row has for a classifier without a manifest, if the columns say it."""
        path = self.files[0]
        if self._is_lines(path):
            return None
        for pair in PAIRS:
            if pair[1] in (self.header or column_names(path, self._form(path, pair))):
                return 2
        return 1

    def rows(self, task: Task, columns: Sequence[str], ids: Sequence[str] = ()) -> Iterator[Row]:
        """Yield the rows of all files.

        Args:
            task: Says how many choices a row has.
            columns: Of the texts; of a pair the second may be missing, which is an empty text.
            ids: Columns of texts or numbers that are copied.

        Raises:
            DataError: Naming file and row that cannot be read, or the columns that a file has.
        """
        needed = tuple(dict.fromkeys((*ids, *columns)))
        for path in self.files:
            header = columns if self._is_lines(path) else self.header
            form = self._form(path, needed)
            for row in read_rows(path, needed, header=header, form=form, optional=columns[1:]):
                found: Row = {column: row.scalar(column) for column in ids if column not in columns}
                for place, column in enumerate(columns):
                    if place > 0 and task.is_multiple_choice:
                        found[column] = row.texts(column, task.num_choices)
                    else:
                        found[column] = row.text(column, optional=place > 0)
                yield found

    def _is_lines(self, path: Path) -> bool:
        return self.header is None and path.name.lower().removesuffix(".gz").endswith(".txt")

    def _form(self, path: Path, columns: Sequence[str]) -> Form:
        """Find the form of a file, which may take a pass over it, once."""
        key = path, tuple(columns)
        if key not in self._forms:
            lines = self._is_lines(path)
            if lines and self.delimiter is None:
                form = replace(USUAL["tsv"], encoding=self.encoding, ours=key[1], setting="")
            else:
                header = columns if lines else self.header
                how: dict[str, Any] = {"delimiter": self.delimiter, "encoding": self.encoding}
                form = find_form(path, columns, header, **how, ours=key[1], setting="")
            self._forms[key] = form
        return self._forms[key]


def check_columns(task: Task, given: Sequence[str] | None, *, query: bool = False) -> tuple[str, ...]:
    """Return the columns of the texts in the files: those given, or the task's.

    Args:
        query: Whether the first text is given apart.

    Raises:
        ConfigError: If the task takes another number of texts.
    """
    needed = task.text_columns[1:] if query else task.text_columns
    if given is None:
        return needed
    if len(given) != len(needed) or len(set(given)) < len(given):
        raise ConfigError(
            f"text_columns: {', '.join(given)}: '{task.name}' takes {len(needed)} "
            f"column{'s' if len(needed) > 1 else ''} ({', '.join(needed)})"
        )
    return tuple(given)


def _find(place: str) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        series = file_series(path)
        if len(series) == 1:
            return series[0][1]
        names = ", ".join(paths[0].name for _, paths in series) or "none that can be read"
        raise DataError(f"input: {path} must have one file, or its shards, but has {names}; give one of them")
    if path.exists() or not glob.has_magic(place):
        return [path]
    found = [path for path in map(Path, sorted(glob.glob(place, recursive=True))) if path.is_file()]
    if not found:
        raise DataError(f"input: no file matches {place}")
    return found
