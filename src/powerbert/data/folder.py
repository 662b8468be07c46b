"""Datasets of files in a folder: a user's own, and official downloads that the hub has too."""

import logging
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from powerbert.base.checks import check_choice
from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import content_hash
from powerbert.data.hub import HubSource
from powerbert.data.readers import (
    DELIMITERS,
    SUFFIXES,
    USUAL,
    Form,
    column_names,
    file_format,
    find_form,
)
from powerbert.data.table import divide, file_digest, listed, load_table, with_dev
from powerbert.data.task import AUTO, LABEL_SEPARATOR, LabelParser, find_classes, labels_of, raw_labels_of

log = logging.getLogger(__name__)

SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
"""Splits -> the names that their files may have, without suffix."""

FILE = re.compile(
    r"(?P<name>.*?)(?:-(?P<number>\d+)-of-(?P<count>\d+)(?:-[0-9a-f]{16})?)?"
    rf"(?P<suffix>{'|'.join(map(re.escape, sorted(SUFFIXES, key=len, reverse=True)))})"
)
"""A file of rows, in lower case; it may be a shard as on the hub, `train-00000-of-00002.parquet`."""

DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}

PROPOSAL = "dataset.split=[0.8,0.1,0.1]"


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
        self.label_names = label_names
        self.cache = Path(cache)
        self.hub = hub
        self.needed = needed

    @cached_property
    def labels(self) -> LabelParser:
        """The parser of the labels."""
        return LabelParser(self.label_names)

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
    """A user's own files: train, dev and test in a folder, or one file that `split` divides."""

    def __init__(
        self,
        path: str | Path | None,
        text_columns: Sequence[str],
        label_names: Sequence[str] | str | None,
        cache: str | Path,
        label_column: str = "label",
        label_columns: Sequence[str] | None = None,
        label_separator: str = LABEL_SEPARATOR,
        delimiter: str | None = None,
        encoding: str = "utf-8",
        header: Sequence[str] | None = None,
        split: Sequence[float] | None = None,
        on_bad_row: str = "error",
        kind: str = "sequence_classification",
    ):
        """Name the folder or file and its columns; nothing is read yet.

        Args:
            label_names: Classes, None for numbers, or `auto` for the classes that train has.
            delimiter: Between the fields of TSV and CSV files; None finds it.
            encoding: Of text files without a byte order mark.
            header: The columns of TSV and CSV files without a header line.
            split: Shares of train, dev and test (or of train and dev), by which train is divided.
            on_bad_row: `error`, or `skip` to leave bad rows out.
            kind: Of the task; rows of one query are never divided.

        Raises:
            ConfigError: Naming the key of an invalid value.
        """
        columns = [str(name) for name in text_columns]
        super().__init__(
            path, dict(zip(columns, columns, strict=True)), str(label_column), label_names, cache
        )
        self.kind, self.label_separator = kind, label_separator
        if label_columns is not None:
            self.label_column = tuple(map(str, label_columns))
        self._found: dict[tuple[Any, ...], Form] = {}
        self.delimiter = check_form("dataset.source.", delimiter, encoding)
        self.encoding = encoding
        self.header = None if header is None else [str(name) for name in _as_list(header)]
        self.split = None if split is None else _as_list(split)
        self.skip = on_bad_row == "skip"
        self.by_query = kind == "reranking"
        check_choice("dataset.on_bad_row", on_bad_row, ("error", "skip"))
        numbers = [share for share in self.split or [] if isinstance(share, int | float) and share > 0]
        if self.split is not None and not (
            len(numbers) == len(self.split) in (2, 3) and abs(sum(numbers) - 1) < 1e-6
        ):
            raise ConfigError(
                f"dataset.split: {self.split} must be the shares of train, dev and perhaps test, whose "
                "sum is 1, as in [0.8,0.1,0.1]"
            )
        if self.header is not None:
            for column in (*self.columns, *listed(self.label_column)):
                if self.header.count(column) != 1:
                    raise ConfigError(
                        f"dataset.source.header: {self.header} must name the column '{column}' once"
                    )

    @cached_property
    def labels(self) -> LabelParser:
        """The parser of the labels, for which `auto` reads those of train."""
        names, hint = self.label_names, "; dataset.label_names=auto takes those of train"
        if names == AUTO:
            names, hint = self.class_names(), ", which are those of train"
        return labels_of(self.kind, names, self.label_column, self.label_separator, hint)

    def class_names(self) -> tuple[str, ...]:
        """Find the classes of train; raise DataError if there are fewer than two."""
        return self._classes

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        labels = self.label_column, raw_labels_of(self.kind, self.label_separator)
        rows = load_table(
            self._forms(self.files()["train"]),
            {},
            labels,
            self.cache,
            split="train",
            header=self.header,
            skip=self.skip,
        )
        counts = rows.with_format("pandas")["label"][:].explode().value_counts()
        names = find_classes(counts.to_dict())
        if len(names) < 2:
            raise DataError(
                f"{self.folder}: column '{self.label_column}' of train has no two classes, only "
                f"{', '.join(names)}"
            )
        return names

    def has_labelled_test(self) -> bool:
        """Whether `split` makes a test split, or leaves one that has labels."""
        files = self.files()
        if self.split is None or "test" not in files:
            return self.split is not None and len(self.split) == 3
        return self._is_labelled("test", files["test"])

    def files(self) -> dict[str, list[Path]]:
        """Return the files of each split.

        Raises:
            DataError: If one is missing or ambiguous, or if there is nothing to divide.
        """
        if self.folder is not None and self.folder.is_file():
            file_format(self.folder)
            found = {"train": [self.folder]}
        else:
            found = super().files()
        where = f"{self.setting}={self.folder}"
        if "dev" in found and self.split is not None:
            raise DataError(
                f"dataset.split: {where} has a file for train and one for dev; remove this setting"
            )
        if "dev" not in found and self.split is None:
            lacking = f"{where} is one file"
            if self.folder.is_dir():  # type: ignore[union-attr]
                lacking = f"{self.folder}: has no file for dev; it needs {_needed('dev')}"
            raise DataError(f"{lacking}; {PROPOSAL} divides train into train, dev and test")
        return found

    def find(self, folder: Path) -> dict[str, list[Path]]:
        """Find the files of the splits that exist; without train and with a `split`, the only file."""
        series, found = file_series(folder), {}
        for split, names in SPLIT_NAMES.items():
            several = [paths for name, paths in series if name in names]
            if len(several) > 1:
                one, two, *_ = (paths[0].name for paths in several)
                raise DataError(f"{folder}: both {one} and {two} could be {split}; remove one")
            if several:
                found[split] = several[0]
        if "train" in found:
            return found
        alone = series[0][1] if len(series) == 1 and not found else []
        if alone and self.split is not None:
            return {"train": alone}
        proposal = f"; {PROPOSAL} divides {alone[0].name} into train, dev and test" if alone else ""
        raise DataError(f"{folder}: has no file for train; it needs {_needed('train')}{proposal}")

    def digests(self, files: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
        """Hash the files, beside the settings that change what is read."""
        digests = {split: [file_digest(path) for path in paths] for split, paths in files.items()}
        found: dict[str, Any] = {
            split: hashes[0] if len(hashes) == 1 else hashes for split, hashes in digests.items()
        }
        usual = {
            "delimiter": None,
            "encoding": "utf-8",
            "header": None,
            "split": None,
            "skip": False,
            "label_separator": LABEL_SEPARATOR,
        }
        changed = {key: getattr(self, key) for key, value in usual.items() if getattr(self, key) != value}
        quoted = [
            split
            for split, paths in files.items()
            for path, form in self._forms(paths).items()
            if form == replace(USUAL["tsv"], quoted=True) and file_format(path) == "tsv"
        ]
        return (
            found
            | {"label": "\n".join(listed(self.label_column))}
            | changed
            | ({"quoted": quoted} if quoted else {})
        )

    def load(self) -> DatasetDict:
        """Load the splits, of which `split` makes those that are missing; say what their form is."""
        files = self.files()
        said: defaultdict[str, list[str]] = defaultdict(list)
        for paths in files.values():
            for path, form in self._forms(paths).items():
                said[_describe(form, file_format(path))].append(path.name)
        for description, names in said.items():
            if description:
                log.info("%s: %s", ", ".join(names), description)
        splits = {split: self.read(split, found) for split, found in files.items()}
        if self.split is None:
            return DatasetDict(splits)
        columns = list(self.columns)[: 1 if self.by_query else None]
        stratify = self.kind == "sequence_classification" and self.label_names is not None
        return divide(splits, self.split, columns, stratify=stratify)

    def read(self, split: str, found: Sequence[Path], **reading: Any) -> Dataset:
        """Convert the files of a split; a test file may be unlabelled."""
        labels = (self.label_column, self.labels) if self._is_labelled(split, found) else None
        forms = self._forms(found)
        return load_table(
            forms, self.columns, labels, self.cache, split=split, header=self.header, skip=self.skip
        )

    def _is_labelled(self, split: str, paths: Sequence[Path]) -> bool:
        if split != "test" or self.header is not None:
            return True
        names = column_names(paths[0], self._forms(paths[:1])[paths[0]])
        return not {*listed(self.label_column)}.isdisjoint(names)

    def _forms(self, paths: Sequence[Path]) -> dict[Path, Form]:
        """Find the form of each file, which may take a pass over it, once."""
        columns, forms = list(self.columns), {}
        for path in paths:
            state = path.stat()
            key = path, state.st_mtime_ns, state.st_size
            if key not in self._found:
                self._found[key] = find_form(
                    path,
                    columns,
                    self.header,
                    delimiter=self.delimiter,
                    encoding=self.encoding,
                    ours=(*columns, *listed(self.label_column)),
                )
            forms[path] = self._found[key]
        return forms


def check_form(prefix: str, delimiter: str | None, encoding: str) -> str | None:
    """Return the character that a delimiter names, None if it is to be found.

    Raises:
        ConfigError: Naming `<prefix>delimiter` or `<prefix>encoding`, if it is invalid.
    """
    character = None if delimiter is None else DELIMITER_NAMES.get(str(delimiter), str(delimiter))
    if character is not None and len(character) != 1:
        raise ConfigError(
            f"{prefix}delimiter: {delimiter!r} must be one character, or one of comma, semicolon, tab, pipe"
        )
    try:
        "".encode(encoding)
    except (LookupError, TypeError):
        raise ConfigError(
            f"{prefix}encoding: {encoding!r} is unknown; take utf-8, utf-16, cp1252, latin-1, ..."
        ) from None
    return character


def file_series(folder: Path) -> list[tuple[str, list[Path]]]:
    """Return the name of each file, in lower case and without suffix, and its path or those of its shards.

    Raises:
        DataError: If a shard is missing.
    """
    found: defaultdict[tuple[str, ...], dict[int, Path]] = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        match = FILE.fullmatch(path.name.lower())
        if match and path.is_file() and not path.name.startswith("."):
            one = "" if match["count"] else path.name
            found[match["name"], match["count"] or "1", match["suffix"], one][int(match["number"] or 0)] = (
                path
            )
    for (_, count, *_), shards in found.items():
        if len(shards) < int(count):
            missing = f"{int(count) - len(shards)} of its {int(count)} shards are missing"
            raise DataError(f"{next(iter(shards.values()))}: {missing}")
    return [(name, [shards[number] for number in sorted(shards)]) for (name, *_), shards in found.items()]


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str | int | float) else list(value)


def _needed(split: str) -> str:
    return f"{' or '.join(SPLIT_NAMES[split])} with one of the suffixes {', '.join(SUFFIXES)}"


def _describe(form: Form, kind: str) -> str:
    """Say how a file differs from what its suffix stands for; nothing if it does not."""
    usual, said = USUAL[kind], []
    if form.delimiter != usual.delimiter:
        said.append(f"fields end at {DELIMITERS.get(form.delimiter, repr(form.delimiter))}")
    if form.quoted and not usual.quoted and form.delimiter == usual.delimiter:
        said.append("fields stand in quotes, as csv.writer and pandas write them; the quotes are removed")
    if form.encoding != usual.encoding:
        said.append(f"read as {form.encoding}")
    return ", ".join(said)
