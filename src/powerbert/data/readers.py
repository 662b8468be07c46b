"""Strict readers of users' files: each row is read unchanged, or one message names file and row.

| format | suffix | reading |
|---|---|---|
| TSV | `.tsv`, `.txt` | one row per line, split at tabs; a quote is text |
| CSV | `.csv` | RFC 4180: commas, quotes, line breaks within quotes |
| JSON Lines | `.jsonl`, `.json` | one object per line; blank lines are skipped |
| Parquet | `.parquet` | any columns |

Text files are UTF-8, with or without a byte order mark, with LF or CRLF, and may be compressed (`.gz`). Blank
lines at the end of a TSV or CSV file are skipped; in a file with a single column they are empty texts.

Every file gives rows or a `DataError`, in constant memory (at most `LONGEST_ROW` per row), including a small
compressed file that expands without end.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from powerbert.base.errors import DataError, shorten

TEXT_FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
FORMATS = (
    TEXT_FORMATS | {f"{suffix}.gz": name for suffix, name in TEXT_FORMATS.items()} | {".parquet": "parquet"}
)
SUFFIXES = tuple(FORMATS)
LONGEST_ROW = 1 << 24
"""The limit of a line in bytes, and of a row of several lines (after an unclosed quote) in characters."""

MOST_NAMES = 20  # columns listed in a message

UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, TypeError)
"""What pyarrow raises for a damaged file, such as one with a column name that is not UTF-8."""


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes:
        number: Counts from 1, without the header and skipped blank lines.
        line: Line of the file, from 1; None where the format has no lines.
        values: By column. Texts in TSV and CSV, any JSON or Parquet value otherwise.
    """

    file: Path
    number: int
    line: int | None
    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """Return the text of a column, or raise DataError if it holds something else."""
        return self._text(column, self.values[column])

    def texts(self, column: str, count: int) -> list[str]:
        """Return the `count` texts of a column, or raise DataError if it holds something else."""
        value = self.values[column]
        if not isinstance(value, list) or len(value) != count:
            found = f"{len(value)} texts" if isinstance(value, list) else _kind(value)
            raise self.error(f"column '{column}' is {found}; it must be a list of {count} texts")
        return [self._text(column, text) for text in value]

    def error(self, problem: str) -> DataError:
        """Return an error that names this row."""
        return _error_at(self.file, self.number, self.line, problem)

    def _text(self, column: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.error(f"column '{column}' is {_kind(value)}; it must be a text, which may be empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(f"column '{column}' holds half of a surrogate pair, not a character") from None
        return value


class MalformedRowError(DataError):
    """A row of a TSV or CSV file with too few or too many fields."""


class _UndecodableLineError(Exception):
    """Holds the line and the problem; `read_rows` adds the row."""


def read_rows(
    path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None
) -> Iterator[Row | MalformedRowError]:
    """Read a file row by row, in constant memory.

    Args:
        columns: The columns that every row must have.
        header: The column names of a TSV or CSV file without a header line.

    Yields:
        Rows, with at least `columns` among their values. A row with too few or too many fields comes as an
        error, which the caller raises or counts.

    Raises:
        DataError: Naming file and row, if the file is missing, empty, not of its format or not UTF-8, or
            lacks a column.
    """
    kind = file_format(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty")
    if kind == "parquet":
        rows: Iterator[Row | MalformedRowError] = _parquet_rows(path, columns)
    elif kind == "jsonl":
        rows = _json_rows(path, columns)
    else:
        rows = _delimited_rows(path, kind, columns, header)
    number = 0
    try:
        for row in rows:
            number += 1
            yield row
    except _UndecodableLineError as error:
        line, problem = error.args
        if line == 1 and header is None and kind != "jsonl":
            raise DataError(f"{path}, line 1: {problem}") from None
        raise _error_at(path, number + 1, line, problem) from None
    if number == 0:
        raise DataError(f"{path}: has no rows")


def column_names(path: Path) -> list[str]:
    """Return the columns of a file (JSON Lines: the first object's keys); errors are those of `read_rows`."""
    if file_format(path) == "parquet":
        return _open_parquet(path)[1]
    first = next(read_rows(path, ()))
    if isinstance(first, MalformedRowError):
        raise first
    return list(first.values)


def file_format(path: Path) -> str:
    """Return `tsv`, `csv`, `jsonl` or `parquet` by the suffix, or raise DataError for any other suffix."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if suffix not in FORMATS:
        raise DataError(f"{path}: unknown kind of file; the name must end in one of {', '.join(SUFFIXES)}")
    return FORMATS[suffix]


def _lines(path: Path) -> Iterator[str]:
    """Yield decoded lines with their line ends; only a line feed ends a line, unlike `str.splitlines`."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            file = cast(BinaryIO, opened)
            for number, line in enumerate(iter(partial(file.readline, LONGEST_ROW + 1), b""), start=1):
                if len(line) > LONGEST_ROW:
                    raise DataError(f"{path}, line {number}: is longer than {LONGEST_ROW >> 20} MiB")
                try:
                    yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode("utf-8")
                except UnicodeDecodeError as error:
                    problem = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
                    raise _UndecodableLineError(number, problem) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is not a complete gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _split_tsv(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        text = line.removesuffix("\n").removesuffix("\r")
        yield number, text.split("\t") if text else []


def _split_csv(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_ROW)
    start, size = 1, 0

    def measured() -> Iterator[str]:
        nonlocal size
        for line in lines:
            size += len(line)
            if size > LONGEST_ROW:
                raise csv.Error(f"it is longer than {LONGEST_ROW >> 20} MiB")
            yield line

    reader = csv.reader(measured(), strict=True)
    try:
        for fields in reader:
            yield start, fields
            start, size = reader.line_num + 1, 0
    except csv.Error as error:
        raise DataError(f"{path}, the row that begins at line {start}: is not CSV ({error})") from None


def _delimited_rows(
    path: Path, kind: str, columns: Sequence[str], header: Sequence[str] | None
) -> Iterator[Row | MalformedRowError]:
    lines = _lines(path)
    records = _split_tsv(lines) if kind == "tsv" else _split_csv(path, lines)
    if header is None:
        _, header = next(records, (0, []))
    _require(path, columns, header)
    number = blank = 0
    for line, fields in records:
        if not fields and len(header) > 1:
            blank += 1
            continue
        for blank_line in range(line - blank, line):
            number += 1
            yield _malformed(path, number, blank_line, 0, header)
        blank = 0
        number += 1
        values = fields or [""]
        if len(values) != len(header):
            yield _malformed(path, number, line, len(values), header)
        else:
            yield Row(path, number, line, dict(zip(header, values, strict=True)))


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    number = 0
    for line, text in enumerate(_lines(path), start=1):
        if not text.strip():
            continue
        number += 1
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _error_at(path, number, line, f"is not one JSON object on one line ({error})") from None
        if not isinstance(values, dict):
            raise _error_at(path, number, line, "is not a JSON object with the columns as its keys")
        row = Row(path, number, line, values)
        for column in columns:
            if column not in values:
                raise row.error(f"has no column '{column}'; it has {_listed(values)}")
        yield row


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    file, names = _open_parquet(path)
    _require(path, columns, names)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
            for index in range(batch.num_rows):
                number += 1
                try:
                    values = {name: batch.column(name)[index].as_py() for name in columns}
                except UnicodeDecodeError as error:
                    raise _error_at(path, number, None, f"is not UTF-8 ({error})") from None
                except (ValueError, OverflowError) as error:  # such as a time beyond the year 9999
                    raise _error_at(path, number, None, f"holds an unreadable value ({error})") from None
                yield Row(path, number, None, values)
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read beyond row {number} ({error})") from None


def _open_parquet(path: Path) -> tuple[pq.ParquetFile, list[str]]:
    """Return the file and the names of its columns."""
    try:
        file = pq.ParquetFile(path)
        return file, list(file.schema_arrow.names)
    except UNREADABLE as error:
        raise DataError(f"{path}: is not a Parquet file ({error})") from None


def _require(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    for column in columns:
        if column not in found:
            raise DataError(f"{path}: has no column '{column}'; its columns are {_listed(found)}")
        if found.count(column) > 1:
            raise DataError(f"{path}: its header names the column '{column}' twice")


def _listed(names: Iterable[str]) -> str:
    """List names for a message of bounded length, whatever the file holds."""
    shown = [shorten(name) for name in islice(names, MOST_NAMES + 1)]
    return ", ".join([*shown[:MOST_NAMES], *(["..."] if len(shown) > MOST_NAMES else [])]) or "none"


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"


def _malformed(path: Path, number: int, line: int, fields: int, header: Sequence[str]) -> MalformedRowError:
    problem = f"has {fields} fields instead of {len(header)} ({_listed(header)})"
    return MalformedRowError(str(_error_at(path, number, line, problem)))


def _error_at(path: Path, number: int, line: int | None, problem: str) -> DataError:
    place = f"row {number}" if line is None else f"row {number} (line {line})"
    return DataError(f"{path}, {place}: {problem}")
