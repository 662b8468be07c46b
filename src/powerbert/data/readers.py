"""Strict readers of users' files: every row is read as it stands, or one message names file and row.

| format | suffix | reading |
|---|---|---|
| TSV | `.tsv`, `.txt` | one row a line, split at tabs; a quote is text |
| CSV | `.csv` | RFC 4180: commas, quotes, line breaks within quotes |
| JSON Lines | `.jsonl`, `.json` | one object a line; blank lines are skipped |
| Parquet | `.parquet` | any columns |

Text files are UTF-8, with or without a byte order mark, with LF or CRLF, and may be compressed (`.gz`). Blank
lines at the end of a TSV or CSV file are skipped; in a file with a single column they are empty texts.

Whatever a file holds, one gets rows or a `DataError`, in memory for `LONGEST_ROW` at most: also of a small
compressed file that grows without end.
"""

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

TEXT_SUFFIXES = (".tsv", ".txt", ".csv", ".jsonl", ".json")
SUFFIXES = (*TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES), ".parquet")
LONGEST_ROW = 1 << 24
"""Bytes of a line, and characters of a row of several lines: such as after a quote that nobody closes."""

MOST_NAMES = 20
"""Of columns in a message."""

UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, TypeError)
"""What pyarrow raises for a damaged file, such as a name of a column that is not UTF-8."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes:
        file: where it stands.
        number: counted from 1, header and skipped blank lines left out.
        line: of the file, counted from 1; None where the format has no lines.
        values: by column. The texts of TSV and CSV, any JSON or Parquet value otherwise.
    """

    file: Path
    number: int
    line: int | None
    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """The text of a column.

        Args:
            column: among `values`.

        Returns:
            The text, which may be empty.

        Raises:
            DataError: if it holds something else.
        """
        return self._text(column, self.values[column])

    def texts(self, column: str, count: int) -> list[str]:
        """The list of texts of a column.

        Args:
            column: among `values`.
            count: of the texts.

        Returns:
            The texts, of which any may be empty.

        Raises:
            DataError: if it holds something else, or another number of texts.
        """
        value = self.values[column]
        if not isinstance(value, list) or len(value) != count:
            found = f"{len(value)} texts" if isinstance(value, list) else _kind(value)
            raise self.error(f"column '{column}' is {found}; it must be a list of {count} texts")
        return [self._text(column, text) for text in value]

    def error(self, problem: str) -> DataError:
        """An error at this row."""
        return _error_at(self.file, self.number, self.line, problem)

    def _text(self, column: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.error(
                f"column '{column}' is {_kind(value)}; it must be a text, if need be an empty one"
            )
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(
                f"column '{column}' holds half of a surrogate pair, which is no character"
            ) from None
        return value


class MalformedRowError(DataError):
    """A row of a TSV or CSV file with too few or too many fields."""


class _UndecodableLineError(Exception):
    def __init__(self, line: int, byte: int):
        super().__init__(f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8")
        self.line = line


def read_rows(
    path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None
) -> Iterator[Row | MalformedRowError]:
    """Reads a file row by row, in constant memory.

    Args:
        path: its suffix says the format.
        columns: that every row must have.
        header: names of the columns of a TSV or CSV file without a header line.

    Yields:
        Rows, with at least `columns` among their values; in the place of a row with too few or too many
        fields the error, which the caller raises or counts.

    Raises:
        DataError: naming file and row, for a file that is missing, empty, not of its format or not UTF-8,
            or that lacks a column.
    """
    number = 0
    try:
        for row in _open_rows(path, columns, header):
            number += 1
            yield row
    except _UndecodableLineError as error:
        if error.line == 1 and header is None and file_format(path) != "jsonl":
            raise DataError(f"{path}, line 1: {error}") from None
        raise _error_at(path, number + 1, error.line, str(error)) from None
    if number == 0:
        raise DataError(f"{path}: has no rows")


def column_names(path: Path, *, header: Sequence[str] | None = None) -> list[str]:
    """The columns of a file, without reading more than its beginning.

    Args:
        path: as for `read_rows`.
        header: as for `read_rows`.

    Returns:
        The names; for JSON Lines the keys of the first object.

    Raises:
        DataError: as for `read_rows`.
    """
    if file_format(path) == "parquet":
        return _open_parquet(path)[1]
    for row in read_rows(path, (), header=header):
        if isinstance(row, MalformedRowError):
            raise row
        return list(row.values)
    return []


def file_format(path: Path) -> str:
    """`tsv`, `csv`, `jsonl` or `parquet`, by the suffix.

    Args:
        path: of a file.

    Returns:
        The format.

    Raises:
        DataError: for any other suffix.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    formats = {
        ".tsv": "tsv",
        ".txt": "tsv",
        ".csv": "csv",
        ".jsonl": "jsonl",
        ".json": "jsonl",
        ".parquet": "parquet",
    }
    if suffix not in formats:
        raise DataError(f"{path}: unknown kind of file; give one that ends in {', '.join(SUFFIXES)}")
    return formats[suffix]


def _open_rows(
    path: Path, columns: Sequence[str], header: Sequence[str] | None
) -> Iterator[Row | MalformedRowError]:
    kind = file_format(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty")
    if kind == "parquet":
        return _parquet_rows(path, columns)
    if kind == "jsonl":
        return _json_rows(path, columns)
    return _delimited_rows(path, kind, columns, header)


def _lines(path: Path) -> Iterator[str]:
    """Decoded lines with their line ends; only a line feed ends a line, unlike `str.splitlines`."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            file = cast(BinaryIO, opened)
            for number, line in enumerate(iter(partial(file.readline, LONGEST_ROW + 1), b""), start=1):
                if len(line) > LONGEST_ROW:
                    raise DataError(f"{path}, line {number}: is longer than {LONGEST_ROW >> 20} MiB")
                try:
                    yield (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).decode("utf-8")
                except UnicodeDecodeError as error:
                    raise _UndecodableLineError(number, error.object[error.start]) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is not a whole gzip file ({error})") from None
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
    number = 0
    blank: list[int] = []
    for line, record in records:
        fields = record
        if not record:
            if len(header) > 1:
                blank.append(line)
                continue
            fields = [""]
        for blank_line in blank:
            number += 1
            yield _malformed(path, number, blank_line, 0, header)
        blank.clear()
        number += 1
        if len(fields) != len(header):
            yield _malformed(path, number, line, len(fields), header)
        else:
            yield Row(path, number, line, dict(zip(header, fields, strict=True)))


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
                    raise _error_at(path, number, None, f"holds what Python cannot ({error})") from None
                yield Row(path, number, None, values)
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read beyond row {number} ({error})") from None


def _open_parquet(path: Path) -> tuple[pq.ParquetFile, list[str]]:
    """The file and the names of its columns."""
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
    """Names for a message, which the file of a stranger cannot make as long as it likes."""
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
