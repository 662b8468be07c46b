"""A user's own files: a folder with train, dev and perhaps test as TSV, CSV, JSON Lines or Parquet."""

from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetDict

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.labels import LabelParser
from powerbert.data.readers import SUFFIXES, column_names
from powerbert.data.table import file_digest, load_table

SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
"""What the file of each split may be called, before its suffix."""


class FolderSource:
    """One file a split, each with a header line (or keys) that names its columns."""

    def __init__(
        self,
        path: str | Path | None,
        text_columns: Sequence[str],
        label_names: Sequence[str] | None,
        cache: str | Path,
        label_column: str = "label",
    ):
        """Names the folder and its columns; nothing is read yet.

        Args:
            path: of the folder.
            text_columns: as the files call them.
            label_names: the classes in the order of their index, as the files call them (the files may
                hold the indices instead); None for regression.
            cache: folder for what is read.
            label_column: as the files call it; a test file may be without.
        """
        self.path = None if path is None else Path(path).expanduser()
        self.columns = {column: column for column in text_columns}
        self.labels = LabelParser(label_names)
        self.label_column = label_column
        self.cache = Path(cache)

    def available(self) -> None:
        """Makes sure that the files are there.

        Raises:
            DataError: saying which are not.
        """
        self._files()

    def fingerprint(self) -> str:
        """Names the content: a hash of the files and of the columns that are read.

        Raises:
            DataError: if they are not there.
        """
        return content_hash(
            {split: file_digest(path) for split, path in self._files().items()} | {"label": self.label_column}
        )

    def load(self) -> DatasetDict:
        """The splits that exist, with the text columns, and `label` where labelled.

        Raises:
            DataError: naming file and row, for whatever is not as it should be.
        """
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
            problem = (
                "is a file; give the folder it is in" if self.path.exists() else "there is no such folder"
            )
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
