"""A user's own files: a folder with train, dev and optionally test as TSV, CSV, JSON Lines or Parquet."""

from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetDict

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.readers import SUFFIXES, column_names
from powerbert.data.table import file_digest, load_table
from powerbert.data.task import LabelParser

SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
"""Splits -> the names that their files may have, without suffix."""


class FolderSource:
    """One file per split, each with a header line (or keys) that names its columns."""

    def __init__(
        self,
        path: str | Path | None,
        text_columns: Sequence[str],
        label_names: Sequence[str] | None,
        cache: str | Path,
        label_column: str = "label",
    ):
        """Name the folder and its columns; nothing is read yet.

        Args:
            path: The folder.
            text_columns: The files' text columns.
            label_names: The classes in the order of their index, as the files name them (the files may
                hold the indices instead); None for regression.
            cache: Folder for converted rows.
            label_column: The files' column of labels; a test file may lack it.
        """
        self.path = None if path is None else Path(path).expanduser()
        self.columns = {column: column for column in text_columns}
        self.labels = LabelParser(label_names)
        self.label_column = label_column
        self.cache = Path(cache)

    def available(self) -> None:
        """Check that the files exist."""
        self._files()

    def fingerprint(self) -> str:
        """Hash the files and the name of the label column."""
        return content_hash(
            {split: file_digest(path) for split, path in self._files().items()} | {"label": self.label_column}
        )

    def load(self) -> DatasetDict:
        """Load the splits that exist, with the text columns, and `label` where labelled."""
        splits = {}
        for split, path in self._files().items():
            labelled = split != "test" or self.label_column in column_names(path)
            labels = (self.label_column, self.labels) if labelled else None
            splits[split] = load_table(path, self.columns, labels, self.cache, split=split)
        return DatasetDict(splits)

    def _files(self) -> dict[str, Path]:
        if self.path is None:
            raise DataError(
                "dataset.source.path: give the folder that holds train.tsv (or .csv, ...) and dev.tsv"
            )
        if not self.path.is_dir():
            problem = "is a file; give its folder" if self.path.exists() else "there is no such folder"
            raise DataError(f"dataset.source.path={self.path}: {problem}")
        found = {}
        for split, names in SPLIT_NAMES.items():
            candidates = (self.path / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
            paths = [path for path in candidates if path.is_file()]
            if len(paths) > 1:
                raise DataError(
                    f"{self.path}: both {paths[0].name} and {paths[1].name} could be {split}; remove one"
                )
            if paths:
                found[split] = paths[0]
            elif split != "test":
                raise DataError(
                    f"{self.path}: has no file for {split}; it needs {' or '.join(names)} with one of the "
                    f"suffixes {', '.join(SUFFIXES)}"
                )
        return found
