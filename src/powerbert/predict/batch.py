"""Any number of rows, chunk by chunk, into a file; after a kill the same command continues."""

import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from filelock import Timeout

from powerbert.base.environment import versions
from powerbert.base.errors import ConfigError
from powerbert.base.files import content_hash, sync, write_whole
from powerbert.base.progress import progress
from powerbert.data.batching import POOL
from powerbert.predict.inputs import Row
from powerbert.predict.predictor import Predictor
from powerbert.store.artifacts import locked

log = logging.getLogger(__name__)

FEWEST = 1024
"""Rows of a chunk, at least."""

GROUP = 1 << 14
"""Rows of a table that are converted at once."""

TABLES: Mapping[str, Callable[[Any, pa.Schema], Any]] = {
    ".csv": pyarrow.csv.CSVWriter,
    ".parquet": pq.ParquetWriter,
}
"""Suffixes of flat tables -> pyarrow's writers."""

TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
"""Types of all values of a column -> its type in a table; otherwise its values are texts."""


@dataclass(frozen=True)
class Labeller:
    """Labels rows, a constant number of which is in memory.

    Attributes:
        columns: Of the texts, in the task's order.
        ids: Columns that are copied.
        flat: Whether values are texts and numbers alone, as tables need them: `scores` becomes a column for
            each label, `score_<label>`, and a list a text, `["a", "b"]`.
    """

    predictor: Predictor
    columns: Sequence[str]
    ids: Sequence[str] = ()
    flat: bool = False

    def chunks(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        """Divide rows into chunks, whose rows are sorted by length into batches."""
        size = max(FEWEST, POOL * self.predictor.batch_size)
        rows = iter(rows)
        return iter(lambda: list(islice(rows, size)), [])

    def label(self, chunk: Sequence[Row]) -> list[Row]:
        """Return the ids, texts and predictions of a chunk's rows.

        Raises:
            ConfigError: If an id has the name of a column of the predictions.
        """
        texts = [tuple(row[column] for column in self.columns) for row in chunk]
        predictions = self.predictor(texts, None)
        if self.flat:
            predictions = [_flat(prediction) for prediction in predictions]
            chunk = [_flat(row) for row in chunk]
        if taken := [name for name in self.ids if name in predictions[0]]:
            raise ConfigError(
                f"id_column: '{taken[0]}' is a column of the predictions; name it otherwise in the file"
            )
        return [{**row, **prediction} for row, prediction in zip(chunk, predictions, strict=True)]


def labelled(labeller: Labeller, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the ids, texts and predictions of rows, in their order."""
    return chain.from_iterable(map(labeller.label, labeller.chunks(rows)))


def write_labels(
    labeller: Labeller,
    rows: Iterable[Row],
    output: Path,
    settings: Mapping[str, Any],
    *,
    total: int | None = None,
    ranked: bool = False,
) -> None:
    """Write what `labelled` yields to a `.jsonl`, `.csv` or `.parquet` file.

    Finished chunks lie in the folder `<output>.partial` until all are there. Each is named by a hash of its
    rows, the model and the settings, so another run of the command takes over what it would make itself.

    Args:
        settings: Those of the predictor that change predictions.
        total: Number of rows, for the progress bar.
        ranked: Sort all rows by their score, the greatest first.

    Raises:
        ConfigError: If `output` cannot be written to, or another process writes it.
    """
    target = output.resolve()  # a link stays a link
    folder = target.with_name(f"{target.name}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: {folder} cannot be made ({error.strerror})") from error
    parts: list[Path] = []
    try:
        with locked(folder / "run", wait=False):
            try:
                made = _write_parts(labeller, rows, folder, settings, parts)
                for _ in progress(made, "Rows", total=total):
                    pass
                _join(parts, folder / "whole", output.suffix, ranked=ranked)
                (folder / "whole").replace(target)
                sync(target.parent)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                if not any(folder.glob("*.jsonl")):
                    shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise ConfigError(f"output: another process is writing {output}; give another file") from None


def _write_parts(
    labeller: Labeller, rows: Iterable[Row], folder: Path, settings: Mapping[str, Any], parts: list[Path]
) -> Iterator[Row]:
    """Write the chunks that are missing, as JSON lines; fill `parts` with all and yield their rows."""
    found = {path.name for path in folder.glob("*.jsonl")}
    identity = {
        "model": {
            path.name: [path.stat().st_size, path.stat().st_mtime_ns]
            for path in labeller.predictor.folder.iterdir()
            if path.is_file()
        },
        "versions": versions(),
        "columns": [*labeller.columns],
        **settings,
    }
    done, said = 0, False
    for number, chunk in enumerate(labeller.chunks(rows)):
        key = content_hash({**identity, "rows": chunk})
        part = folder / f"{number:06}-{key}.jsonl"
        if part.name not in found:
            if found and not said:
                again = "starting again: its rows are of another input, model or setting"
                log.info("%s: %s", folder, f"continuing after row {done}" if done else again)
                said = True
            lines = labeller.label(chunk)
            with write_whole(part) as file:
                file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        parts.append(part)
        done += len(chunk)
        yield from chunk


def _join(parts: Sequence[Path], path: Path, suffix: str, *, ranked: bool) -> None:
    """Write the lines of the parts, one after another, to a file of a kind of output."""

    def lines() -> Iterator[str]:
        for part in parts:
            with part.open(encoding="utf-8", newline="\n") as file:
                yield from file

    def score(line: str) -> float:
        return -json.loads(line)["score"]

    found = sorted(lines(), key=score) if ranked else None
    table = TABLES.get(suffix.lower())
    with write_whole(path, "w" if table is None else "wb") as file:
        if table is None:
            file.writelines(found or lines())
        else:
            _write_table(lambda: map(json.loads, found or lines()), table, file)


def _write_table(
    rows: Callable[[], Iterator[Row]], writer: Callable[[Any, pa.Schema], Any], file: IO[bytes]
) -> None:
    """Write flat rows of equal columns; reads them twice, first for the columns' types."""
    kinds: defaultdict[str, set[type]] = defaultdict(set)
    for row in rows():
        for name, value in row.items():
            large = type(value) is int and abs(value) >= 1 << 63
            kinds[name].add(str if large else type(value))
    types: dict[str, Any] = {}
    for name, found in kinds.items():
        one, *more = found - {type(None)} or {str}
        types[name] = None if more else TYPES.get(one)
    schema = pa.schema([(name, kind or pa.string()) for name, kind in types.items()])
    remaining = rows()
    with writer(file, schema) as table:
        while group := list(islice(remaining, GROUP)):
            columns = [[_as_text(row[name], kind) for row in group] for name, kind in types.items()]
            table.write_table(pa.table(columns, schema=schema))


def _as_text(value: Any, kind: pa.DataType | None) -> Any:
    return value if kind or value is None or isinstance(value, str) else json.dumps(value)


def _flat(row: Row) -> Row:
    """Return a row whose values are texts and numbers."""
    flat: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name.removesuffix('s')}_{label}": number for label, number in value.items()}
        else:
            flat[name] = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
    return flat
