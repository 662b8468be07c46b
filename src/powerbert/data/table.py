"""Rows -> a typed, checked `datasets.Dataset` on disk, cached by content; splits by a hash."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, List, NamedSplit, Value
from datasets.exceptions import DatasetGenerationError

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.readers import Row, file_format, read_rows
from powerbert.data.task import LabelParser

TRAIN_PERCENT = 80  # of the training data trains where no dev split exists

CACHE_VERSION = 1
"""Part of every cache key; increment it when the same file gives other rows than before."""

Labels = tuple[str | tuple[str, ...], LabelParser] | None
"""The column of labels, or several, and their parser; None for unlabelled rows."""


def load_table(
    path: Path,
    columns: Mapping[str, str],
    labels: Labels,
    cache: Path,
    *,
    split: str,
    header: Sequence[str] | None = None,
    skip_malformed: bool = False,
) -> Dataset:
    """Convert a file with `convert_rows`; `header` and `skip_malformed` are those of `read_rows`."""
    needed = [*columns.values(), *(listed(labels[0]) if labels else [])]
    key = {
        "file": file_digest(path),
        "format": file_format(path),
        "header": header,
        "skip_malformed": skip_malformed,
    }
    rows = partial(read_rows, path, needed, header=header, skip_malformed=skip_malformed)
    return convert_rows(rows, columns, labels, key, cache, split)


def convert_rows(
    rows: Callable[[], Iterable[Row]],
    columns: Mapping[str, str],
    labels: Labels,
    key: Mapping[str, Any],
    cache: Path,
    split: str,
    *,
    choices: int = 0,
) -> Dataset:
    """Convert rows into a dataset on disk, one at a time, or reuse an earlier conversion.

    An empty text is kept: it becomes an input of special tokens only.

    Args:
        columns: The dataset's text columns -> those of the rows.
        key: Names the content of `rows`, as a file's hash does.
        choices: The number of texts in each row of the last text column; 0 for a single text.

    Returns:
        The text columns, and `label` if there are labels; memory-mapped, with a fingerprint that depends on
        the arguments alone.

    Raises:
        DataError: Naming file and row, if anything is invalid.
    """
    lists = [list(columns)[-1]] if choices else []
    features = Features(
        {ours: List(Value("string")) if ours in lists else Value("string") for ours in columns}
    )
    if labels:
        features["label"] = labels[1].feature

    def examples() -> Iterator[dict[str, Any]]:
        for row in rows():
            example: dict[str, Any] = {
                ours: row.texts(theirs, choices) if ours in lists else row.text(theirs)
                for ours, theirs in columns.items()
            }
            if labels:
                example["label"] = row.label(*labels)
            yield example

    # A cached file belongs to one split, so equal rows of two splits are two files.
    whole_key = {
        "version": CACHE_VERSION,
        "split": split,
        "columns": dict(columns),
        "label": [labels[0], *labels[1].key] if labels else None,
        **key,
    }
    try:
        return Dataset.from_generator(
            examples,
            features=features,
            cache_dir=str(cache / "datasets"),
            split=NamedSplit(split),
            fingerprint=content_hash(whole_key),
        )
    except DatasetGenerationError as error:
        if not isinstance(error.__cause__, DataError):
            raise
        bad_row = error.__cause__
    # Raised in the handler, its context would be the generation error, whose cause it is: a circle.
    raise bad_row


def listed(column: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the column of labels, or several, as a tuple."""
    return (column,) if isinstance(column, str) else column


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, or raise DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def bucket(key: str) -> int:
    """Return the bucket, 0 to 99, of a row's id or text, the same on every machine."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100


def with_dev(splits: dict[str, Dataset], column: str) -> DatasetDict:
    """Unless there is a dev split, hold out 20% of train (section 3.1) by a hash of a text column."""
    if "train" in splits and "dev" not in splits:
        rows = splits["train"]
        kept = [bucket(text) < TRAIN_PERCENT for text in rows[column]]
        train = rows.select([index for index, chosen in enumerate(kept) if chosen])
        dev = rows.select([index for index, chosen in enumerate(kept) if not chosen])
        splits = {"train": train, "dev": dev} | {
            name: rows for name, rows in splits.items() if name != "train"
        }
    return DatasetDict(splits)
