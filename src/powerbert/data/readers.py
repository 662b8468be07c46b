"""Strict readers of users' files: rows come unchanged, or one message names file and row.

| format | suffix | reading |
|---|---|---|
| TSV | `.tsv`, `.txt` | one row per line, split at tabs; a quote is text |
| CSV | `.csv` | RFC 4180: commas, quotes, line breaks within quotes |
| JSON Lines | `.jsonl`, `.json` | one object per line; blank lines are skipped |
| Parquet | `.parquet` | any columns |

Text files are UTF-8, with or without a byte order mark, with LF or CRLF, and may be compressed (`.gz`). Blank
lines at the end of a TSV or CSV file are skipped; in a file with a single column they are empty texts.

Memory is bounded by `LONGEST_ROW`, also for a small compressed file that expands without end.
"""

import codecs
import csv
import gzip
import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from powerbert.base.errors import DataError, shorten

log = logging.getLogger(__name__)

TEXT_FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
COMPRESSED = {f"{suffix}.gz": name for suffix, name in TEXT_FORMATS.items()}
FORMATS = {**TEXT_FORMATS, **COMPRESSED, ".parquet": "parquet"}
SUFFIXES = tuple(FORMATS)

LONGEST_ROW = 1 << 24
"""The limit of a line in bytes, and of a row of several lines (after an unclosed quote) in characters."""

UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, TypeError)
"""What pyarrow raises for a damaged file, such as one with a column name that is not UTF-8."""


@dataclass(frozen=True)
class Row:
    """A row's values by column, and its place for messages, such as `a.tsv, row 2 (line 3)`.

    Values of TSV and CSV files are texts; others are any JSON or Parquet value.
    """

    place: str
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

    def label(self, column: str | tuple[str, ...], parse: Callable[[Any], Any]) -> Any:
        """Return the parsed label of a column, or a list of several; a ValueError becomes a DataError."""
        if not isinstance(column, str):
            return [self.label(one, parse) for one in column]
        try:
            return parse(self.values[column])
        except ValueError as error:
            raise self.error(f"column '{column}': label {error}") from None

    def error(self, problem: str) -> DataError:
        """Return an error that names this row."""
        return DataError(f"{self.place}: {problem}")

    def _text(self, column: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.error(f"column '{column}' is {_kind(value)}; it must be a text, which may be empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(f"column '{column}' holds half of a surrogate pair, not a character") from None
        return value


def read_rows(
    path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None, skip_malformed: bool = False
) -> Iterator[Row]:
    """Read a file row by row.

    Args:
        columns: The columns that every row must have; its values may hold others too.
        header: The column names of a TSV or CSV file without a header line.
        skip_malformed: Skip rows with too few or too many fields, and log their number.

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
        rows = _parquet_rows(path, columns)
    elif kind == "jsonl":
        rows = _json_rows(path, columns)
    else:
        rows = _delimited_rows(path, columns, header, skip_malformed)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: has no rows")
    yield first
    yield from rows


def column_names(path: Path) -> list[str]:
    """Return the columns of a file (JSON Lines: the first object's keys); errors are those of `read_rows`."""
    if file_format(path) == "parquet":
        return _open_parquet(path)[1]
    return list(next(read_rows(path, ())).values)


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
                place = f"{path}, line {number}"
                if len(line) > LONGEST_ROW:
                    raise DataError(f"{place}: is longer than {LONGEST_ROW >> 20} MiB")
                try:
                    yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode("utf-8")
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    raise DataError(
                        f"{place}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
                    ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is not a complete gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _split_tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the fields of each row."""
    for number, line in enumerate(_lines(path), start=1):
        text = line.removesuffix("\n").removesuffix("\r")
        yield number, text.split("\t") if text else []


def _split_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each row."""
    csv.field_size_limit(LONGEST_ROW)
    start, size = 1, 0

    def measured() -> Iterator[str]:
        nonlocal size
        for line in _lines(path):
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


def _drop_last_blanks(records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Omit the rows without fields at the end; only their number is held in memory."""
    blank = 0
    for line, fields in records:
        if not fields:
            blank += 1
            continue
        yield from ((earlier, []) for earlier in range(line - blank, line))
        blank = 0
        yield line, fields


def _delimited_rows(
    path: Path, columns: Sequence[str], header: Sequence[str] | None, skip_malformed: bool
) -> Iterator[Row]:
    records = _split_csv(path) if file_format(path) == "csv" else _split_tsv(path)
    if header is None:
        _, header = next(records, (0, []))
    _require(path, columns, header)
    width, malformed, first = len(header), 0, None
    for number, (line, fields) in enumerate(_drop_last_blanks(records) if width > 1 else records, start=1):
        place = f"{path}, row {number} (line {line})"
        if width == 1 and not fields:
            fields = [""]
        if len(fields) == width:
            yield Row(place, dict(zip(header, fields, strict=True)))
            continue
        error = DataError(f"{place}: has {len(fields)} fields instead of {width} ({_listed(header)})")
        if not skip_malformed:
            raise error
        malformed, first = malformed + 1, first or error
    if malformed:
        log.warning("skipped %d malformed rows; the first: %s", malformed, first)


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    lines = ((line, text) for line, text in enumerate(_lines(path), start=1) if text.strip())
    for number, (line, text) in enumerate(lines, start=1):
        place = f"{path}, row {number} (line {line})"
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: is not one JSON object on one line ({error})") from None
        if not isinstance(values, dict):
            raise DataError(f"{place}: is not a JSON object with the columns as its keys")
        for column in columns:
            if column not in values:
                raise DataError(f"{place}: has no column '{column}'; it has {_listed(values)}")
        yield Row(place, values)


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    file, names = _open_parquet(path)
    _require(path, columns, names)
    number = 1
    try:
        for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
            for index in range(batch.num_rows):
                values = {name: batch.column(name)[index].as_py() for name in columns}
                yield Row(f"{path}, row {number}", values)
                number += 1
    except UNREADABLE as error:  # in the file, or in a value, such as a time beyond the year 9999
        raise DataError(f"{path}, row {number}: cannot be read ({error})") from None


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
    return shorten(", ".join(names), 500) or "none"


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
