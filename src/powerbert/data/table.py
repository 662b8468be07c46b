"""Rows of a file -> a typed, checked `datasets.Dataset` on disk, cached by content; splits by a hash."""

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
from powerbert.data.readers import MalformedRowError, Row, file_format, read_rows
from powerbert.data.task import LabelParser

log = logging.getLogger(__name__)

TRAIN_PERCENT = 80
"""Share of the training data that trains where no dev split exists; the rest is dev (section 3.1)."""

CACHE_VERSION = 1
"""Part of every cache key; increment it when the same file gives other rows than before."""


@dataclass(frozen=True)
class Selection:
    """A choice among a file's rows.

    Attributes:
        keep: Whether a row belongs to the dataset, from its values.
        columns: The columns that `keep` reads.
        key: Stands for `keep` in the cache key.
    """

    keep: Callable[[Mapping[str, Any]], bool]
    columns: Sequence[str]
    key: str


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
    """Convert a file into a dataset on disk, or reuse an earlier conversion.

    An empty text is kept: it becomes an input of special tokens only. Rows are never held in memory.

    Args:
        columns: The dataset's text columns -> the file's.
        labels: The file's column of labels with its parser; None for unlabelled rows.
        cache: Folder of the cache. Its key is the file's content and how it is read, never its time.
        header: The column names of a file without a header line.
        skip_malformed: Skip rows with too few or too many fields, and log their number.

    Returns:
        The text columns, and `label` if there are labels.

    Raises:
        DataError: Naming file and row, if anything is invalid.
    """
    needed = [*columns.values(), *([labels[0]] if labels else []), *(selection.columns if selection else [])]
    features = Features({column: Value("string") for column in columns})
    if labels:
        features["label"] = labels[1].feature

    def rows() -> Iterator[dict[str, Any]]:
        malformed, first, kept = 0, None, 0
        for row in read_rows(path, needed, header=header):
            if isinstance(row, MalformedRowError):
                if not skip_malformed:
                    raise row
                malformed, first = malformed + 1, first or row
            elif selection is None or selection.keep(row.values):
                kept += 1
                yield _example(row, columns, labels)
        if malformed:
            log.warning("skipped %d malformed rows; the first: %s", malformed, first)
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
    """Write rows to an Arrow file, one after another, unless an earlier call did.

    Args:
        key: Everything that the rows depend on.
        cache: Folder of the cache; several processes may use it at once.
        split: Also named in the progress bar.

    Returns:
        The memory-mapped rows, with a fingerprint that depends on `key` and `split` alone.

    Raises:
        DataError: From `rows`.
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
    # Raised in the handler, its context would be the generation error, whose cause it is: a circle.
    raise bad_row


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def bucket(key: str) -> int:
    """Return a row's bucket, 0 to 99, uniformly: the same on every machine, whatever the order of rows.

    Args:
        key: What identifies the row: its id or, if it has none, its text (equal texts stay together).
    """
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100


def hold_out(train: Dataset, column: str) -> tuple[Dataset, Dataset]:
    """Split rows into 80% and 20% (section 3.1) by a hash of a column; equal texts stay together."""
    kept = [bucket(text) < TRAIN_PERCENT for text in train[column]]
    return (
        train.select([row for row, chosen in enumerate(kept) if chosen]),
        train.select([row for row, chosen in enumerate(kept) if not chosen]),
    )


def _example(row: Row, columns: Mapping[str, str], labels: tuple[str, LabelParser] | None) -> dict[str, Any]:
    example: dict[str, Any] = {name: row.text(column) for name, column in columns.items()}
    if labels:
        column, parse = labels
        try:
            example["label"] = parse(row.values[column])
        except ValueError as error:
            raise row.error(f"column '{column}': label {error}") from None
    return example
