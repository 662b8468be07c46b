"""Strict readers of users' files: rows come unchanged, or one message names file and row.

| format | suffix | reading |
|---|---|---|
| TSV | `.tsv`, `.txt` | one row per line, split at tabs; a quote is text |
| CSV | `.csv` | RFC 4180: commas, quotes, line breaks within quotes |
| JSON | `.jsonl`, `.json` | one object per line, blank lines are skipped; or one array of objects |
| Parquet | `.parquet` | any columns |

`find_form` finds another delimiter, and quotes in a TSV that are those of a CSV. Text files are UTF-8 or of
the encoding that their byte order mark names, with LF or CRLF, and may be compressed (`.gz`). Blanks around
column names are dropped. Blank lines at the end of a TSV or CSV file are skipped; in a file with a single
column they are empty texts.

Memory is bounded by `LONGEST_ROW`, also for a small compressed file that expands without end.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import pyarrow as pa
import pyarrow.parquet as pq

from powerbert.base.errors import DataError, shorten
from powerbert.base.files import plain

TEXT_FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
COMPRESSED = {f"{suffix}.gz": name for suffix, name in TEXT_FORMATS.items()}
FORMATS = {**TEXT_FORMATS, **COMPRESSED, ".parquet": "parquet"}
SUFFIXES = tuple(FORMATS)

LONGEST_ROW = 1 << 24
"""The limit in characters of a line, and of a row of several lines (after an unclosed quote)."""

PIECE = 1 << 16
"""Characters of a JSON array that are read at once."""

MARKS = {  # that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks -> encodings."""

UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, TypeError)
"""What pyarrow raises for a damaged file, such as one with a column name that is not UTF-8."""

Bad = Callable[[DataError], None]
"""What is done about a bad row: `refuse` or `refuse_ours`, or a `Skipped` that counts it."""


def refuse(error: DataError) -> NoReturn:
    """Raise the error of a bad row."""
    raise error


def refuse_ours(error: DataError) -> NoReturn:
    """Raise the error of a bad row of `dataset=folder`, and say how to leave it out."""
    raise DataError(f"{error}; dataset.on_bad_row=skip leaves such rows out") from None


class Skipped:
    """Counts the bad rows that are left out and keeps the first one's error."""

    def __init__(self) -> None:
        self.count = 0
        self.first: DataError | None = None

    def __call__(self, error: DataError) -> None:
        """Count a row."""
        self.count += 1
        self.first = self.first or error

    def __str__(self) -> str:
        return f"skipped {self.count} malformed row{'s' if self.count > 1 else ''}; the first: {self.first}"


@dataclass(frozen=True)
class Form:
    """How a text file holds its rows.

    Attributes:
        delimiter: Between the fields of a TSV or CSV file.
        quoted: Whether fields may stand in quotes, as in CSV; otherwise a quote is text.
        spaced: Whether the blank after each delimiter belongs to it.
        encoding: Of a file without a byte order mark.
        ours: The columns that a command needs, if messages may propose its settings.
        setting: What precedes the names of these settings.
    """

    delimiter: str = ","
    quoted: bool = True
    spaced: bool = False
    encoding: str = "utf-8"
    ours: tuple[str, ...] = field(default=(), compare=False)
    setting: str = field(default="dataset.source.", compare=False)


DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
USUAL = {"tsv": Form("\t", quoted=False), "csv": Form(), "jsonl": Form(), "parquet": Form()}
"""Kinds of files -> the form that their suffix stands for."""


@dataclass(frozen=True)
class Row:
    """A row's values by column, and its place for messages, such as `a.tsv, row 2 (line 3)`.

    Values of TSV and CSV files are texts; others are any JSON or Parquet value.
    """

    place: str
    values: Mapping[str, Any]

    def text(self, column: str, *, optional: bool = False) -> str:
        """Return the text of a column, or raise DataError if it holds something else.

        An optional text that is missing is empty.
        """
        value = self.values.get(column)
        return "" if optional and value is None else self._text(column, value)

    def texts(self, column: str, count: int) -> list[str]:
        """Return the `count` texts of a column, or raise DataError if it holds something else."""
        value = self.values.get(column)
        if not isinstance(value, list) or len(value) != count:
            found = f"{len(value)} texts" if isinstance(value, list) else _kind(value)
            raise self.error(f"column '{column}' is {found}; it must be a list of {count} texts")
        return [self._text(column, text) for text in value]

    def scalar(self, column: str) -> str | int | float | bool | None:
        """Return the text, number or truth value of a column; a date or a decimal number as a text.

        Raises:
            DataError: If it holds something else.
        """
        value = self.values[column]
        if isinstance(value, list | dict | bytes):
            raise self.error(f"column '{column}' is {_kind(value)}; it must be a text or a number")
        if isinstance(value, str):
            return self._text(column, value)
        return plain(value if value is None or isinstance(value, int | float) else str(value))

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
    path: Path,
    columns: Sequence[str],
    *,
    header: Sequence[str] | None = None,
    form: Form | None = None,
    optional: Collection[str] = (),
    bad: Bad = refuse,
) -> Iterator[Row]:
    """Read a file row by row.

    Args:
        columns: The columns that every row must have; its values may hold others too.
        header: The column names of a TSV or CSV file without a header line.
        form: From `find_form`; by default what the suffix stands for.
        optional: Those of `columns` that a JSON object may lack, though not every one of the file.
        bad: Called for each row with too few or too many fields, or without a column.

    Raises:
        DataError: Naming file and row, if the file is missing, empty, not of its format or encoding, or
            lacks a column.
    """
    kind = check_file(path)
    form = form or USUAL[kind]
    if kind == "parquet":
        rows = _parquet_rows(path, columns)
    elif kind == "jsonl":
        rows = _json_rows(path, columns, form, optional, bad)
    else:
        rows = _delimited_rows(path, columns, header, form, bad)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: has no rows")
    yield first
    yield from rows


def column_names(path: Path, form: Form | None = None) -> list[str]:
    """Return the columns of a file (JSON: the first object's keys); errors are those of `read_rows`."""
    if file_format(path) == "parquet":
        return _open_parquet(path)[1]
    return list(next(read_rows(path, (), form=form)).values)


def file_format(path: Path) -> str:
    """Return `tsv`, `csv`, `jsonl` or `parquet` by the suffix, or raise DataError for any other suffix."""
    suffixes = path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]
    suffix = "".join(suffixes).lower()
    if suffix not in FORMATS:
        raise DataError(f"{path}: unknown kind of file; the name must end in one of {', '.join(SUFFIXES)}")
    return FORMATS[suffix]


def find_form(
    path: Path,
    columns: Sequence[str],
    header: Sequence[str] | None = None,
    *,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    ours: tuple[str, ...] = (),
    setting: str = Form.setting,
) -> Form:
    """Find the form of a file from its first row: its delimiter is the one that gives the needed columns.

    Args:
        columns: What the header must name. With a `header`, the first row must have as many fields.
        delimiter: The only one to try.
        encoding: Of a file without a byte order mark.
        ours: As of `Form`; so `setting`.

    Raises:
        DataError: If the file is missing, empty or of an unknown kind.
    """
    kind = check_file(path)
    usual = replace(USUAL[kind], encoding=encoding, ours=ours, setting=setting)
    if kind not in ("tsv", "csv"):
        return usual
    tried = [*DELIMITERS] if delimiter is None else [delimiter]
    forms = [replace(usual, delimiter=one, quoted=True) for one in tried]
    if usual.delimiter in tried:
        forms.insert(0, usual)
    found: list[tuple[bool, int, Form]] = []
    for form in forms:
        fields = _first_fields(path, form)
        if header is None and len(fields) > 1 and all(field.startswith(" ") for field in fields[1:]):
            form = replace(form, spaced=form.quoted)
            fields = _first_fields(path, form)
        names = {field.strip() for field in fields}
        fits = names.issuperset(columns) if header is None else len(fields) == len(header)
        found.append((fits, len(fields), form))
    form = max(found, key=lambda one: one[:2] if not one[0] else (True, 0))[2]
    return replace(form, quoted=True) if not form.quoted and _is_quoted(path, form) else form


def _first_fields(path: Path, form: Form) -> list[str]:
    """Return the fields of a file's first row; none if it is not of this form."""
    with suppress(DataError):
        return next(_records(path, form, refuse), (0, []))[1]
    return []


def _is_quoted(path: Path, form: Form) -> bool:
    """Whether the quotes in a TSV are those of csv.writer and pandas, which any row would show.

    They quote the fields that hold a delimiter, a quote or a line end, and no others.
    """
    lines: list[str] = []
    found = False
    with suppress(DataError):
        for _, fields in _quoted_records(path, form, refuse, lines):
            row = "".join(lines).removesuffix("\n").removesuffix("\r")
            lines.clear()
            if '"' in row:
                written = io.StringIO()
                csv.writer(written, delimiter=form.delimiter).writerow(fields)
                if written.getvalue() != f"{row}\r\n":
                    return False
                found = True
        return found
    return False


def check_file(path: Path) -> str:
    """Return the format of a file that is there and not empty; DataError says what it lacks."""
    kind = file_format(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty")
    return kind


def _pieces(path: Path, form: Form, size: int) -> Iterator[tuple[int, str]]:
    """Yield decoded lines with their number and line end, in pieces of at most `size` characters.

    Only a line feed ends a line, unlike `str.splitlines`.
    """
    number = 1
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as opened:
            file = cast(BinaryIO, opened)
            start = file.read(4)
            file.seek(0)
            encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), form.encoding)
            lines = io.TextIOWrapper(file, encoding, newline="\n")
            for piece in iter(partial(lines.readline, size), ""):
                yield number, piece
                number += piece.endswith("\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(error.encoding, "ignore").count("\n")
        raise _undecodable(f"{path}, line {number + before}", error, encoding, form) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is not a complete gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _undecodable(place: str, error: UnicodeDecodeError, encoding: str, form: Form) -> DataError:
    byte = error.object[error.start]
    remedy = "save the file as UTF-8"
    if form.ours:
        windows = "latin-1" if byte in b"\x81\x8d\x8f\x90\x9d" else "cp1252"
        likely = windows if encoding.lower().startswith(("utf-8", "utf8", "utf_8")) else "utf-8"
        remedy += f", or name its encoding, likely {form.setting}encoding={likely}"
    name = encoding.upper().removesuffix("-SIG")
    return DataError(f"{place}: byte 0x{byte:02x} is not {name}; {remedy}")


def _lines(path: Path, form: Form) -> Iterator[str]:
    """Yield decoded lines with their line ends."""
    for number, line in _pieces(path, form, LONGEST_ROW + 1):
        if len(line) > LONGEST_ROW:
            raise DataError(f"{path}, line {number}: is longer than {LONGEST_ROW >> 20} MiB")
        yield line


def _records(path: Path, form: Form, bad: Bad) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each row of a TSV or CSV file."""
    if form.quoted:
        yield from _quoted_records(path, form, bad)
        return
    for number, line in enumerate(_lines(path, form), start=1):
        text = line.removesuffix("\n").removesuffix("\r")
        yield number, text.split(form.delimiter) if text else []


def _quoted_records(
    path: Path, form: Form, bad: Bad, lines: list[str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield what `_records` does; `lines` collects the lines that were read."""
    csv.field_size_limit(LONGEST_ROW)
    start, size, ended = 1, 0, False

    def measured() -> Iterator[str]:
        nonlocal size, ended
        for line in _lines(path, form):
            size += len(line)
            if size > LONGEST_ROW:
                ended = True
                raise csv.Error(f"it is longer than {LONGEST_ROW >> 20} MiB")
            if lines is not None:
                lines.append(line)
            yield line
        ended = True

    reader = csv.reader(measured(), delimiter=form.delimiter, skipinitialspace=form.spaced, strict=True)
    while True:
        try:
            yield start, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = DataError(f"{path}, the row that begins at line {start}: is not CSV ({error})")
            if ended:  # an unclosed quote took all that follows
                raise problem from None
            bad(problem)
        start, size = reader.line_num + 1, 0


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
    path: Path, columns: Sequence[str], header: Sequence[str] | None, form: Form, bad: Bad
) -> Iterator[Row]:
    records, hint = _records(path, form, bad), ""
    if header is None:
        _, first = next(records, (0, []))
        header = [name.strip() for name in first]
        hint = _propose_header(header, form) if form.ours else ""
    _require(path, columns, header, hint)
    width = len(header)
    for number, (line, fields) in enumerate(_drop_last_blanks(records) if width > 1 else records, start=1):
        place = f"{path}, row {number} (line {line})"
        if width == 1 and not fields:
            fields = [""]
        if len(fields) == width:
            yield Row(place, dict(zip(header, fields, strict=True)))
        else:
            bad(DataError(f"{place}: has {len(fields)} fields instead of {width} ({_listed(header)})"))


def _propose_header(fields: Sequence[str], form: Form) -> str:
    """Say what to do about a first line that lacks columns, and may be a row of a file without a header."""
    if any("\0" in field for field in fields):
        return f"; the file may be of the encoding {form.setting}encoding=utf-16"
    named = [field for field in fields if field]
    like_names = len(set(named)) == len(named) > 0 and all(
        len(name.split()) <= 3 and not re.fullmatch(r"[-+\d.]+", name) for name in named
    )
    if like_names:
        ours = ("text_columns", "id_column")  # of predict
        if form.setting:
            ours = ("dataset.text_columns", "dataset.source.label_column")
        return f"; set {' or '.join(ours)} to them"
    shown = list(form.ours)
    if len(fields) == len(shown) and len(fields[0]) < len(fields[-1]):
        shown = [*shown[-1:], *shown[:-1]]  # the label, which is short, comes first
    return (
        f"; if this is the first row of a file without a header line, name all {len(fields)} columns in "
        f"their order, as in '{form.setting}header=[{','.join(shown)}]'"
    )


def _json_rows(
    path: Path, columns: Sequence[str], form: Form, optional: Collection[str], bad: Bad
) -> Iterator[Row]:
    first = next((piece for _, piece in _pieces(path, form, PIECE) if piece.strip()), "")
    values = _array_values if first.lstrip().startswith("[") else _line_values
    lacking = set(optional).intersection(columns)  # in every row so far
    number = 0
    for number, (line, value) in enumerate(values(path, form), start=1):
        place = f"{path}, row {number} (line {line})"
        if isinstance(value, Exception):
            bad(DataError(f"{place}: is not one JSON object on one line ({value})"))
        elif not isinstance(value, dict):
            bad(DataError(f"{place}: is not a JSON object with the columns as its keys"))
        elif missing := [name for name in columns if name not in value and name not in optional]:
            bad(DataError(f"{place}: has no column '{missing[0]}'; it has {_listed(value)}"))
        else:
            lacking -= lacking and value.keys()
            yield Row(place, value)
    if number and lacking:
        raise DataError(f"{path}: no row has the column '{min(lacking)}'")


def _line_values(path: Path, form: Form) -> Iterator[tuple[int, Any]]:
    """Yield each line that is not blank: its number and its value, or what is wrong with it."""
    for number, line in enumerate(_lines(path, form), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, error


def _array_values(path: Path, form: Form) -> Iterator[tuple[int, Any]]:
    """Yield the first line and the value of each object in a JSON array, of which one at a time is held."""
    decode, between = json.JSONDecoder().raw_decode, re.compile(r"[\s,]*")
    text, line, enough, opened = "", 1, 0, False
    for _, piece in chain(_pieces(path, form, PIECE), [(0, "")]):  # the last one marks the end
        text += piece
        if piece and len(text) < enough:
            continue
        place, problem = 0, "it ends within the array"
        while True:
            end = cast(re.Match[str], between.match(text, place)).end()
            line, place = line + text.count("\n", place, end), end
            if not opened and text[place : place + 1] == "[":
                opened, place = True, place + 1
                continue
            if text[place : place + 1] != "{":
                break
            try:
                value, end = decode(text, place)
            except (ValueError, RecursionError) as error:
                problem = str(error)
                break
            yield line, value
            line, place = line + text.count("\n", place, end), end
        text = text[place:]
        enough = 2 * len(text)  # an object that is not whole is tried again after as much text again
        if (text and text[0] not in "{]") or len(text) > LONGEST_ROW:
            break
    if text.strip() == "]":
        return
    if text and text[0] not in "{]":
        yield line, None
    raise DataError(f"{path}, line {line}: is not a JSON array of objects ({problem})")


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


def _require(path: Path, columns: Sequence[str], found: Sequence[str], hint: str = "") -> None:
    for column in columns:
        if column not in found:
            raise DataError(f"{path}: has no column '{column}'; its columns are {_listed(found)}{hint}")
        if found.count(column) > 1:
            raise DataError(f"{path}: its header names the column '{column}' twice")


def _listed(names: Iterable[str]) -> str:
    return shorten(", ".join(names), 500) or "none"


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
