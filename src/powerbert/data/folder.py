"""Datasets of files in a folder: a user's own, and official downloads that the hub has too."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.hub import HubSource
from powerbert.data.readers import SUFFIXES, column_names
from powerbert.data.table import file_digest, listed, load_table, with_dev
from powerbert.data.task import LABEL_SEPARATOR, LabelParser, labels_of

log = logging.getLogger(__name__)

SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
"""Splits -> the names that their files may have, without suffix."""


class FileSource(ABC):
    """Files in a folder or, without one, the hub's copy. Subclasses find the files, one per split.

    Attributes:
        setting: What names the folder, for messages.
    """

    setting = "dataset.source.path"

    def __init__(
        self,
        folder: str | Path | None,
        columns: Mapping[str, str],
        label_column: str,
        label_names: Sequence[str] | None,
        cache: str | Path,
        hub: HubSource | None = None,
        needed: str = "train.tsv (or .csv, ...) and dev.tsv",
    ):
        """Name the places to read from; nothing is read yet.

        Args:
            columns: The dataset's text columns -> the files'.
            needed: What the folder must hold, for messages.
        """
        self.folder = Path(folder).expanduser() if folder else None
        self.columns = columns
        self.label_column: str | tuple[str, ...] = label_column
        self.labels = LabelParser(label_names)
        self.cache = Path(cache)
        self.hub = hub
        self.needed = needed

    @abstractmethod
    def find(self, folder: Path) -> dict[str, Any]:
        """Find the file of each split, or none to fall back on the hub.

        Raises:
            DataError: If only some of them exist.
        """

    def digests(self, files: Mapping[str, Any]) -> dict[str, str]:
        """Hash what the splits depend on."""
        return {split: file_digest(path) for split, path in files.items()}

    def read(self, split: str, found: Any, **reading: Any) -> Dataset:
        """Convert what `find` found for a split with `load_table`; a test file may be unlabelled."""
        labelled = split != "test" or bool({*listed(self.label_column)} & {*column_names(found)})
        labels = (self.label_column, self.labels) if labelled else None
        return load_table(found, self.columns, labels, self.cache, split=split, **reading)

    def available(self) -> None:
        """Check, within seconds, that the files exist or the hub's copy can be loaded."""
        if self.files() or self.hub is None:
            return
        try:
            self.hub.available()
        except DataError as error:
            lacking = f"={self.folder} has no {self.needed}" if self.folder else " is not set"
            instead = f"{self.setting}=<folder with {self.needed}>"
            raise DataError(f"{self.setting}{lacking}, and {error}, or set {instead}") from None

    def fingerprint(self) -> str:
        """Hash the files, or name the hub's commit."""
        files = self.files()
        return content_hash(self.digests(files)) if files or self.hub is None else self.hub.version

    def load(self) -> DatasetDict:
        """Load the splits that exist, with the text columns, and `label` where labelled."""
        files = self.files()
        if files or self.hub is None:
            splits = {split: self.read(split, found) for split, found in files.items()}
            return with_dev(splits, next(iter(self.columns)))
        if self.folder:
            log.warning("%s=%s has no %s; using %s", self.setting, self.folder, self.needed, self.hub.version)
        return self.hub.load()

    def files(self) -> dict[str, Any]:
        """Return what `find` found; nothing if the hub's copy is to be read."""
        if self.folder is None and self.hub is not None:
            return {}
        if self.folder is None:
            raise DataError(f"{self.setting}: give the folder that holds {self.needed}")
        if not self.folder.is_dir():
            problem = "is a file; give its folder" if self.folder.exists() else "there is no such folder"
            raise DataError(f"{self.setting}={self.folder}: {problem}")
        return self.find(self.folder)


class FolderSource(FileSource):
    """A user's own files, each with a header line (or keys) that names its columns."""

    def __init__(
        self,
        path: str | Path | None,
        text_columns: Sequence[str],
        label_names: Sequence[str] | None,
        cache: str | Path,
        label_column: str = "label",
        label_columns: Sequence[str] | None = None,
        label_separator: str = LABEL_SEPARATOR,
        kind: str = "sequence_classification",
    ):
        """Name the folder and its columns; nothing is read yet."""
        super().__init__(path, {name: name for name in text_columns}, label_column, label_names, cache)
        self.label_column, self.labels = labels_of(
            kind, label_names, label_column, label_columns, label_separator
        )

    def find(self, folder: Path) -> dict[str, Path]:
        """Find the files of train, dev and, if there is one, test."""
        found = {}
        for split, names in SPLIT_NAMES.items():
            candidates = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
            paths = [path for path in candidates if path.is_file()]
            if len(paths) > 1:
                one, two = paths[0].name, paths[1].name
                raise DataError(f"{folder}: both {one} and {two} could be {split}; remove one")
            if paths:
                found[split] = paths[0]
            elif split != "test":
                needed = f"{' or '.join(names)} with one of the suffixes {', '.join(SUFFIXES)}"
                raise DataError(f"{folder}: has no file for {split}; it needs {needed}")
        return found

    def digests(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Hash the files, beside the name of the column of labels, or their names."""
        return (
            super().digests(files) | {"label": "\n".join(listed(self.label_column))} | self.labels.influence
        )
