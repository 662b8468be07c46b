"""Rows -> a typed, checked `datasets.Dataset` on disk, cached by content; splits by a hash."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict, Features, List, NamedSplit, Value
from datasets.exceptions import DatasetGenerationError

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.readers import (
    USUAL,
    Bad,
    Form,
    Row,
    Skipped,
    file_format,
    read_rows,
    refuse,
    refuse_ours,
)
from powerbert.data.task import LabelParser, RawLabel

log = logging.getLogger(__name__)

TRAIN_PERCENT = 80  # of the training data trains where no dev split exists

CACHE_VERSION = 1
"""Part of every cache key; increment it when the same file gives other rows than before."""

Labels = tuple[str | tuple[str, ...], LabelParser | RawLabel] | None
"""The column of labels, or several, and their parser; None for unlabelled rows."""


def load_table(
    files: Path | Mapping[Path, Form],
    columns: Mapping[str, str],
    labels: Labels,
    cache: Path,
    *,
    split: str,
    header: Sequence[str] | None = None,
    skip: bool = False,
) -> Dataset:
    """Convert a file, or several of certain forms one after another, with `convert_rows`.

    Args:
        header: As of `read_rows`.
        skip: Leave bad rows out instead of raising the first one's error.
    """
    forms = {files: USUAL[file_format(files)]} if isinstance(files, Path) else files
    needed = [*columns.values(), *(listed(labels[0]) if labels else [])]
    optional = list(columns.values())[1:]
    digests = [file_digest(path) for path in forms]
    formats = [file_format(path) for path in forms]
    unusual = any(form != USUAL[kind] for form, kind in zip(forms.values(), formats, strict=True))
    key: dict[str, Any] = {
        "file": digests[0] if len(digests) == 1 else digests,
        "format": formats[0],
        "header": header,
        "skip_malformed": skip,
        **({"forms": [_form_key(form) for form in forms.values()]} if unusual else {}),
    }
    ours = any(form.ours for form in forms.values())
    bad: Bad = Skipped() if skip else refuse_ours if ours else refuse

    def rows() -> Iterator[Row]:
        for path, form in forms.items():
            yield from read_rows(path, needed, header=header, form=form, optional=optional, bad=bad)

    return convert_rows(rows, columns, labels, key, cache, split, bad=bad)


def _form_key(form: Form) -> dict[str, Any]:
    return {name: value for name, value in asdict(form).items() if name != "setting"}


def convert_rows(
    rows: Callable[[], Iterable[Row]],
    columns: Mapping[str, str],
    labels: Labels,
    key: Mapping[str, Any],
    cache: Path,
    split: str,
    *,
    choices: int = 0,
    bad: Bad = refuse,
) -> Dataset:
    """Convert rows into a dataset on disk, one at a time, or reuse an earlier conversion.

    An empty text is kept: it becomes an input of special tokens only. A missing text is empty where another
    text comes before it.

    Args:
        columns: The dataset's text columns -> those of the rows.
        key: Names the content of `rows`, as a file's hash does.
        choices: The number of texts in each row of the last text column; 0 for a single text.
        bad: Called for each row without a valid text or label. What a `Skipped` counts is logged, each time.

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
            try:
                example: dict[str, Any] = {
                    ours: row.texts(theirs, choices)
                    if ours in lists
                    else row.text(theirs, optional=place > 0)
                    for place, (ours, theirs) in enumerate(columns.items())
                }
                if labels:
                    example["label"] = row.label(*labels)
            except DataError as error:
                bad(error)
                continue
            yield example
        if isinstance(bad, Skipped) and bad.count:
            note.write_text(str(bad), encoding="utf-8")

    # A cached file belongs to one split, so equal rows of two splits are two files.
    whole_key = {
        "version": CACHE_VERSION,
        "split": split,
        "columns": dict(columns),
        "label": [labels[0], *labels[1].key] if labels else None,
        **key,
    }
    folder, fingerprint = cache / "datasets", content_hash(whole_key)
    note = folder / f"{fingerprint}.skipped.txt"
    try:
        dataset = Dataset.from_generator(
            examples,
            features=features,
            cache_dir=str(folder),
            split=NamedSplit(split),
            fingerprint=fingerprint,
        )
        if isinstance(bad, Skipped) and columns and note.is_file():  # labels alone are read twice
            log.warning("%s: %s", split, note.read_text(encoding="utf-8"))
        return dataset
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


def divide(
    splits: Mapping[str, Dataset], shares: Sequence[float], columns: Sequence[str], *, stratify: bool
) -> DatasetDict:
    """Divide train by a hash of its texts into train, dev and, with three shares, test.

    Rows of equal texts stay together. The same rows are divided in the same way on every machine.

    Args:
        splits: Train, and perhaps test; then the first two shares divide train.
        shares: Of train, dev and test.
        columns: The texts that are hashed: for reranking the query alone.
        stratify: Whether each class is divided by the shares; each part has a row of it, if there are enough.
    """
    rows = splits["train"]
    names = ["train", "dev", "test"][: 2 if "test" in splits else len(shares)]
    wanted = np.asarray(shares[: len(names)]) / sum(shares[: len(names)])
    keys = [
        int.from_bytes(hashlib.sha256(json.dumps(texts).encode()).digest()[:8])
        for batch in rows.select_columns(list(columns)).iter(10_000)
        for texts in zip(*batch.values(), strict=True)
    ]
    label = rows.select_columns("label").with_format("numpy")[:]["label"] if stratify else 0
    frame = pd.DataFrame({"key": np.asarray(keys, np.uint64), "label": label})
    groups = frame.groupby("key", sort=True)["label"].agg(["first", "size"])
    parts = pd.Series(0, index=groups.index)
    for _, group in groups.groupby("first"):
        total = group["size"].sum()
        held = [max(round(total * share), int(len(group) >= len(names))) for share in wanted[1:]]
        begins = total - np.cumsum(held[::-1])[::-1]  # rows of the class before each later part
        parts[group.index] = np.searchsorted(begins, group["size"].cumsum() - group["size"], side="right")
    part = frame["key"].map(parts).to_numpy()
    divided = {name: rows.select(np.flatnonzero(part == place)) for place, name in enumerate(names)}
    return DatasetDict(divided | {name: rest for name, rest in splits.items() if name != "train"})
