"""Datasets of the Hugging Face hub, or the copy that an earlier run left in the hub's own cache."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, Value, load_dataset
from datasets.packaged_modules.cache.cache import Cache
from huggingface_hub import HfApi

from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import content_hash
from powerbert.base.hub import PATIENCE, first_line, within
from powerbert.data.table import cached_dataset, file_digest, hold_out
from powerbert.data.task import LabelParser

log = logging.getLogger(__name__)

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
"""Splits -> their usual names on the hub."""

UNLABELLED = (-1, None)
"""The labels that datasets of the hub give to rows without one."""


class HubDataset:
    """One configuration of a hub dataset, with the hub's own splits and columns."""

    def __init__(self, repository: str, configuration: str | None = None, revision: str | None = None):
        """Name the dataset; the hub is not asked yet.

        Args:
            repository: Such as `nyu-mll/glue`, or a local folder.
            configuration: Such as `rte`; None for a repository that has only one.
            revision: Commit, branch or tag; None for the newest.
        """
        self.repository = repository
        self.configuration = configuration
        self.revision = revision
        self.local = Path(repository).expanduser() if Path(repository).expanduser().is_dir() else None

    @property
    def commit(self) -> str:
        """The commit that `load` reads: the hub's newest or, if the hub does not answer, the cached one.

        Raises:
            DataError: If there is neither; within seconds.
        """
        return self._found[0]

    @property
    def version(self) -> str:
        """The dataset's name with its commit."""
        return f"{self}@{self.commit}"

    def require(self, missing: str, instead: str) -> None:
        """Check, within seconds, that the dataset can be loaded.

        Args:
            missing: What was looked for before the hub, and not found.
            instead: What the user can do without the hub.

        Raises:
            DataError: With both, and with the datasets that need no hub.
        """
        try:
            _ = self.commit
        except DataError as error:
            raise DataError(
                f"{missing}, and {error}. Without the hub, {instead}, or choose dataset=snippets (movie "
                "reviews in a Python package) or dataset=folder dataset.source.path=<folder with train.tsv, "
                "dev.tsv>"
            ) from None

    def load(self) -> DatasetDict:
        """Load the splits, memory-mapped from the hub's cache.

        Raises:
            DataError: If neither the hub nor its cache has the dataset.
        """
        _, online = self._found
        if not online:
            return DatasetDict(self._cached().as_dataset())
        try:
            options = {} if self.revision is None else {"revision": self.revision}
            return load_dataset(str(self.local or self.repository), self.configuration, **options)
        except Exception as error:  # the clients raise exceptions of several HTTP libraries
            raise DataError(f"the hub's dataset {self} cannot be loaded ({first_line(error)})") from error

    @cached_property
    def _found(self) -> tuple[str, bool]:
        """The commit (for a local folder a hash of its files), and whether `load_dataset` can load it."""
        if self.local is not None:
            files = sorted(path for path in self.local.rglob("*") if path.is_file())
            listed = "".join(f"{path.relative_to(self.local)} {file_digest(path)}\n" for path in files)
            return hashlib.sha256(listed.encode()).hexdigest()[:40], True
        api = HfApi()
        try:
            info = within(
                PATIENCE,
                lambda: api.dataset_info(self.repository, revision=self.revision, timeout=PATIENCE),
            )
            return str(info.sha), True
        except Exception as unreachable:  # as in `load`
            try:
                commit = str(self._cached().hash)
            except (ValueError, OSError):
                raise DataError(
                    f"the hub's dataset {self} is not available ({first_line(unreachable)})"
                ) from None
        log.warning("%s: the hub does not answer; using the copy of an earlier run", self)
        return commit, False

    def _cached(self) -> Cache:
        return Cache(
            repo_id=self.repository,
            dataset_name=self.repository.rpartition("/")[2],
            config_name=self.configuration,
            version="auto",
            hash=self.revision or "auto",
        )

    def __str__(self) -> str:
        return f"{self.repository}/{self.configuration}" if self.configuration else self.repository


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
    ):
        """Name the dataset; nothing is read yet.

        Args:
            path: Id of the dataset on the hub, or a local folder.
            text_columns: The task's text columns.
            label_names: The classes in the order of their index; None for regression.
            cache: Folder for converted rows.
            name: Configuration of the dataset.
            revision: Commit, branch or tag; None for the newest.
            splits: train, dev, test -> the dataset's splits. Without a dev split, 20% of train are held out.
            columns: Text columns -> the dataset's columns, where they differ.

        Raises:
            ConfigError: If `splits` or `columns` has an unknown key.
        """
        splits, columns = dict(splits or SPLITS), dict(columns or {})
        for key, given, known in (("splits", splits, tuple(SPLITS)), ("columns", columns, text_columns)):
            for unknown in set(given) - set(known):
                raise ConfigError(f"dataset.source.{key}: '{unknown}' is not one of {', '.join(known)}")
        self.splits = {split: theirs for split, theirs in splits.items() if theirs is not None}
        self.columns = {column: columns.get(column, column) for column in text_columns}
        self.labels = LabelParser(label_names)
        self.label_column = label_column
        self.cache = Path(cache)
        self.path = path
        self.dataset = HubDataset(path or "(no path)", name, revision)

    def available(self) -> None:
        """Check, within seconds, that the dataset can be loaded."""
        if self.path is None:
            raise DataError("dataset.source.path: give the id of a dataset on the hub, such as ag_news")
        self.dataset.require("dataset 'hub'", "give dataset.source.path=<local folder of the dataset>")

    def fingerprint(self) -> str:
        """Hash the commit and which columns and splits are read."""
        return content_hash(self._key())

    def load(self) -> DatasetDict:
        """Load the splits that exist, with the text columns, and `label` where labelled."""
        found = self.dataset.load()
        named = {split: found[name] for split, name in self.splits.items() if name in found}
        if "test" in named and len(named["test"]) == 0:
            del named["test"]
        loaded = {split: self._read(split, rows) for split, rows in named.items()}
        if "train" in self.splits and "train" not in loaded:
            raise DataError(
                f"{self.dataset}: has no split '{self.splits['train']}' for train, only {', '.join(found)}; "
                "set dataset.source.splits.train"
            )
        if "train" in loaded and "dev" not in loaded:
            if "dev" in self.splits:
                log.warning("%s: has no dev split; 20%% of its train split are held out as dev", self.dataset)
            loaded["train"], loaded["dev"] = hold_out(loaded["train"], next(iter(self.columns)))
        return DatasetDict(loaded)

    def _key(self) -> dict[str, Any]:
        return {
            "hub": self.dataset.version,
            "splits": self.splits,
            "columns": self.columns,
            "label": self.label_column,
        }

    def _read(self, split: str, rows: Dataset) -> Dataset:
        if len(rows) == 0:
            raise DataError(f"{self.dataset}, {self.splits[split]}: has no rows")
        required = [(f"columns.{ours}", theirs) for ours, theirs in self.columns.items()]
        required += [] if split == "test" else [("label_column", self.label_column)]
        for setting, column in required:
            if column not in rows.column_names:
                raise DataError(
                    f"{self.dataset}, {self.splits[split]}: has no column '{column}', only "
                    f"{', '.join(rows.column_names)}; set dataset.source.{setting}"
                )
        labelled = self.label_column in rows.column_names and (
            split != "test" or any(label not in UNLABELLED for label in rows[self.label_column])
        )
        classes = getattr(rows.features[self.label_column], "names", None) if labelled else None
        if classes is not None and tuple(classes) != self.labels.names:
            raise DataError(
                f"{self.dataset}: its classes are {', '.join(classes)}; set dataset.label_names to them"
            )
        features = Features({column: Value("string") for column in self.columns})
        if labelled:
            features["label"] = self.labels.feature
        identity = self._key() | {"classes": self.labels.names}
        return cached_dataset(
            lambda: self._rows(split, rows, labelled, classes), features, identity, self.cache, split
        )

    def _rows(
        self, split: str, rows: Dataset, labelled: bool, classes: Sequence[str] | None
    ) -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows, start=1):
            where = f"{self.dataset}, {self.splits[split]}, row {number}"
            for column in self.columns.values():
                if not isinstance(row[column], str):
                    raise DataError(f"{where}: column '{column}' is not a text")
            example = {ours: row[theirs] for ours, theirs in self.columns.items()}
            if labelled:
                value = row[self.label_column]
                if classes is not None and isinstance(value, int) and 0 <= value < len(classes):
                    value = classes[value]
                try:
                    example["label"] = self.labels(value)
                except ValueError as error:
                    raise DataError(f"{where}: column '{self.label_column}': label {error}") from None
            yield example
