"""Datasets of the Hugging Face hub, or the copy that an earlier run left in the hub's own cache."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, load_dataset
from datasets.packaged_modules.cache.cache import Cache
from huggingface_hub import HfApi

from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import content_hash
from powerbert.base.network import PATIENCE, first_line, within
from powerbert.data.readers import Row
from powerbert.data.table import convert_rows, file_digest, listed, with_dev
from powerbert.data.task import LABEL_SEPARATOR, labels_of

log = logging.getLogger(__name__)

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
"""Splits -> their usual names on the hub."""

UNLABELLED = (-1, None)
"""The labels that datasets of the hub give to rows without one."""


class HubSource:
    """A dataset of the hub, or a folder that `datasets.load_dataset` accepts, described by settings alone.

    A test split whose every label is -1 or missing loads without labels; an empty one counts as absent.
    """

    def __init__(
        self,
        path: str | None,
        text_columns: Sequence[str],
        label_names: Sequence[str] | None,
        cache: str | Path,
        name: str | None = None,
        revision: str | None = None,
        splits: Mapping[str, str | None] | None = None,
        columns: Mapping[str, str] | None = None,
        label_column: str = "label",
        prepare: Callable[[Row], Row] | None = None,
        multiple_choice: bool = False,
        label_columns: Sequence[str] | None = None,
        label_separator: str = LABEL_SEPARATOR,
        kind: str = "sequence_classification",
    ):
        """Name the dataset; nothing is read yet.

        Args:
            path: Id of the dataset on the hub, or a local folder.
            name: Configuration of the dataset.
            revision: Commit, branch or tag; None for the newest.
            splits: train, dev, test -> the dataset's splits. Without a dev split, 20% of train are held out.
            columns: Text columns -> the dataset's columns, where they differ.
            prepare: Changes each row before its columns are read.
            multiple_choice: The last text column holds a list of texts, one per class.

        Raises:
            ConfigError: If `splits` or `columns` has an unknown key.
        """
        splits, columns = dict(splits or SPLITS), dict(columns or {})
        for key, given, known in (("splits", splits, tuple(SPLITS)), ("columns", columns, text_columns)):
            for unknown in set(given) - set(known):
                raise ConfigError(f"dataset.source.{key}: '{unknown}' is not one of {', '.join(known)}")
        self.path = path
        self.local = Path(path).expanduser() if path and Path(path).expanduser().is_dir() else None
        self.name = name
        self.revision = revision
        self.splits = {split: theirs for split, theirs in splits.items() if theirs is not None}
        self.columns = {column: columns.get(column, column) for column in text_columns}
        self.label_column = label_column if label_columns is None else tuple(map(str, label_columns))
        self.separator = {} if label_separator == LABEL_SEPARATOR else {"separator": label_separator}
        self.labels = labels_of(kind, label_names, self.label_column, label_separator)
        self.cache = Path(cache)
        self.prepare = prepare
        self.choices = len(label_names or ()) if multiple_choice else 0

    def __str__(self) -> str:
        return f"{self.path}/{self.name}" if self.name else str(self.path)

    def available(self) -> None:
        """Check, within seconds, that the dataset can be loaded."""
        if self.path is None:
            raise DataError("dataset.source.path: give the id of a dataset on the hub, such as ag_news")
        try:
            _ = self.version
        except DataError as error:
            raise DataError(
                f"{error}. Without the hub, choose dataset=snippets (movie reviews in a Python package), "
                "dataset=folder dataset.source.path=<folder with train.tsv, dev.tsv> or dataset=hub "
                "dataset.source.path=<local folder of a dataset>"
            ) from None

    @property
    def version(self) -> str:
        """The dataset's name with the hub's newest commit or, if the hub does not answer, the cached one."""
        return f"{self}@{self._found[0]}"

    def fingerprint(self) -> str:
        """Hash the commit and which columns and splits are read."""
        return content_hash(self._key())

    def load(self) -> DatasetDict:
        """Load the splits that exist, with the text columns, and `label` where labelled."""
        found = self.download()
        named = {split: found[name] for split, name in self.splits.items() if name in found}
        if "test" in named and len(named["test"]) == 0:
            del named["test"]
        loaded = {split: self._read(split, rows) for split, rows in named.items()}
        if "train" in self.splits and "train" not in loaded:
            raise DataError(
                f"{self}: has no split '{self.splits['train']}' for train, only {', '.join(found)}; "
                "set dataset.source.splits.train"
            )
        if "train" in loaded and "dev" not in loaded and "dev" in self.splits:
            log.warning("%s: has no dev split; 20%% of its train split are held out as dev", self)
        return with_dev(loaded, next(iter(self.columns)))

    def download(self) -> DatasetDict:
        """Load the dataset's own splits and columns, memory-mapped from the hub's cache."""
        _, copy = self._found
        if copy is not None:
            return DatasetDict(copy.as_dataset())
        try:
            options = {} if self.revision is None else {"revision": self.revision}
            return load_dataset(str(self.local or self.path), self.name, **options)
        except Exception as error:  # the clients raise exceptions of several HTTP libraries
            raise DataError(f"the hub's dataset {self} cannot be loaded ({first_line(error)})") from error

    @cached_property
    def _found(self) -> tuple[str, Cache | None]:
        """The commit (for a local folder a hash of its files), and the copy to read if the hub is silent."""
        if self.local is not None:
            files = sorted(path for path in self.local.rglob("*") if path.is_file())
            listed = "".join(f"{path.relative_to(self.local)} {file_digest(path)}\n" for path in files)
            return hashlib.sha256(listed.encode()).hexdigest()[:40], None
        path = str(self.path)
        ask = partial(HfApi().dataset_info, path, revision=self.revision, timeout=PATIENCE)
        try:
            return str(within(PATIENCE, ask).sha), None
        except Exception as unreachable:  # as in `download`
            name, commit = path.rpartition("/")[2], self.revision or "auto"
            try:
                copy = Cache(
                    repo_id=path, dataset_name=name, config_name=self.name, version="auto", hash=commit
                )
            except (ValueError, OSError):
                reason = first_line(unreachable)
                raise DataError(f"the hub's dataset {self} is not available ({reason})") from None
        log.warning("%s: the hub does not answer; using the copy of an earlier run", self)
        return str(copy.hash), copy

    def _key(self) -> dict[str, Any]:
        columns, label = self.columns, "\n".join(listed(self.label_column))
        key = {"hub": self.version, "splits": self.splits, "columns": columns, "label": label}
        return key | self.separator

    def _read(self, split: str, found: Dataset) -> Dataset:
        """Convert one of the hub's splits."""
        place = f"{self}, {self.splits[split]}"
        if len(found) == 0:
            raise DataError(f"{place}: has no rows")
        required = [(f"columns.{ours}", theirs) for ours, theirs in self.columns.items()]
        columns = listed(self.label_column)
        required += [] if split == "test" else [("label_column", column) for column in columns]
        for setting, column in required:
            if column not in found.column_names:
                names = ", ".join(found.column_names)
                raise DataError(
                    f"{place}: has no column '{column}', only {names}; set dataset.source.{setting}"
                )
        labelled = {*columns} <= {*found.column_names} and (
            split != "test" or any(label not in UNLABELLED for name in columns for label in found[name])
        )
        feature = found.features[columns[0]] if labelled and len(columns) == 1 else None
        classes = getattr(getattr(feature, "feature", feature), "names", None)
        if classes is not None and tuple(classes) != self.labels.names:
            raise DataError(f"{self}: its classes are {', '.join(classes)}; set dataset.label_names to them")

        def rows() -> Iterator[Row]:
            for number, values in enumerate(found, start=1):
                label = values.get(columns[0])
                if classes is not None and label in range(len(classes)):
                    values[columns[0]] = classes[label]
                row = Row(f"{place}, row {number}", values)
                yield row if self.prepare is None else self.prepare(row)

        labels = (self.label_column, self.labels) if labelled else None
        key = {"source": self._key(), "prepared": self.prepare is not None}
        return convert_rows(rows, self.columns, labels, key, self.cache, split, choices=self.choices)
