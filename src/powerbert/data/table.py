"""One file of rows -> one `datasets.Dataset` on disk, typed, checked, and cached by content."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, NamedSplit, Value
from datasets.exceptions import DatasetGenerationError

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.labels import LabelParser
from powerbert.data.readers import MalformedRowError, Row, file_format, read_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Which rows of a file are meant.

    Attributes:
        keep: says so, from a row's values.
        columns: that `keep` looks at.
        key: stands for `keep` in the cache's key.
    """

    keep: Callable[[Mapping[str, Any]], bool]
    columns: Sequence[str]
    key: str


CACHE_VERSION = 1
"""Part of every key of the cache; raised when the same file gives other rows than before."""


def load_table(
    path: Path,
    columns: Mapping[str, str],
    labels: tuple[str, LabelParser] | None,
    cache: Path,
    *,
    split: str,
    header: Sequence[str] | None = None,
    skip_malformed: bool = False,
    selection: Selection | None = None,
) -> Dataset:
    """Reads a file into a dataset that lies on disk, or finds it there.

    An empty text is kept: it becomes an input of special tokens only. Rows are never held in memory.

    Args:
        path: of a TSV, CSV, JSON Lines or Parquet file.
        columns: the dataset's text columns -> the file's.
        labels: the file's column of labels with its parser; None for unlabelled rows.
        cache: folder of the cache. Its key is the file's content and how it is read, never its time.
        split: that the rows are, for the progress bar.
        header: names of the columns of a file without a header line.
        skip_malformed: leaves out rows with too few or too many fields, and says how many.
        selection: leaves out the rows that are not meant.

    Returns:
        The text columns, and `label` if there are labels.

    Raises:
        DataError: naming file and row, for whatever is not as it should be.
    """
    needed = [*columns.values(), *([labels[0]] if labels else []), *(selection.columns if selection else [])]
    features = Features({column: Value("string") for column in columns})
    if labels:
        features["label"] = labels[1].feature

    def rows() -> Iterator[dict[str, Any]]:
        malformed: list[MalformedRowError] = []
        kept = 0
        for row in read_rows(path, needed, header=header):
            if isinstance(row, MalformedRowError):
                if not skip_malformed:
                    raise row
                malformed.append(row)
            elif selection is None or selection.keep(row.values):
                kept += 1
                yield _example(row, columns, labels)
        if malformed:
            log.warning("left out %d malformed rows, of which the first: %s", len(malformed), malformed[0])
        if not kept:
            raise DataError(f"{path}: none of its rows is left")

    key = {
        "file": file_digest(path),
        "format": file_format(path),
        "columns": dict(columns),
        "label": [labels[0], labels[1].names] if labels else None,
        "header": header,
        "skip_malformed": skip_malformed,
        "selection": selection.key if selection else None,
    }
    return cached_dataset(rows, features, key, cache, split)


def cached_dataset(
    rows: Callable[[], Iterator[dict[str, Any]]],
    features: Features,
    key: Mapping[str, Any],
    cache: Path,
    split: str,
) -> Dataset:
    """Writes rows to an Arrow file, one after another, unless it is there already.

    Args:
        rows: gives the rows; a `DataError` of its own goes through to the caller.
        features: their types.
        key: everything the rows depend on.
        cache: folder of the cache; several processes may use it at once.
        split: that the rows are, for the progress bar.

    Returns:
        The memory-mapped rows, with a fingerprint that depends on `key` and `split` alone.

    Raises:
        DataError: from `rows`.
    """
    # A cached file belongs to one split, so equal rows of two splits are two files.
    fingerprint = content_hash({"version": CACHE_VERSION, "split": split, **key})
    try:
        return Dataset.from_generator(
            rows,
            features=features,
            cache_dir=str(cache / "datasets"),
            split=NamedSplit(split),
            fingerprint=fingerprint,
        )
    except DatasetGenerationError as error:
        if not isinstance(error.__cause__, DataError):
            raise
        bad_row = error.__cause__
    # Inside the handler its context would be the generation error, of which it is the cause: a circle.
    raise bad_row


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content.

    Args:
        path: of the file.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _example(row: Row, columns: Mapping[str, str], labels: tuple[str, LabelParser] | None) -> dict[str, Any]:
    example: dict[str, Any] = {name: row.text(column) for name, column in columns.items()}
    if labels:
        column, parse = labels
        try:
            example["label"] = parse(row.values[column])
        except ValueError as error:
            raise row.error(f"column '{column}': label {error}") from None
    return example
