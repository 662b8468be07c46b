"""The GLUE tasks, from a folder in the layout of GLUE's own download, or from the hub."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as remembered
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import content_hash
from powerbert.data.hub import HubDataset
from powerbert.data.labels import LabelParser
from powerbert.data.readers import MalformedRowError, column_names, read_rows
from powerbert.data.table import Selection, file_digest, load_table

log = logging.getLogger(__name__)

MRPC_TRAIN = "msr_paraphrase_train.txt"
"""MRPC as Microsoft ships it, train and dev in one file; `dev_ids.tsv` beside it lists the pairs of dev."""


@dataclass(frozen=True)
class Layout:
    """Where the rows of one task are, as `layout` in the dataset's yaml states it.

    Attributes:
        hub: Configuration of the hub dataset.
        columns: The task's text columns -> the files' columns.
        files: Splits -> the files that may hold them below `GLUE_DIR`; the first that exists is read.
        label: The files' column of labels.
        headerless: The columns of train and dev files that have no header line.
        skip_malformed: Whether broken rows of the train and dev files are left out.
        hub_columns: The task's text columns -> the hub's, where they differ.
        hub_splits: Splits -> the hub's.
    """

    hub: str
    columns: Mapping[str, str]
    files: Mapping[str, Sequence[str]]
    label: str = "label"
    headerless: Sequence[str] | None = None
    skip_malformed: bool = False
    hub_columns: Mapping[str, str] = field(default_factory=dict)
    hub_splits: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "dev": "validation", "test": "test"}
    )

    @property
    def required(self) -> dict[str, Sequence[str]]:
        """The files of the splits without which the task cannot be used."""
        return {split: names for split, names in self.files.items() if split != "test"} or dict(self.files)


@remembered
def packaged_layouts() -> dict[str, Layout]:
    """Read the layouts of `conf/dataset` by task, for sources of old manifests, which hold none."""
    layouts = {}
    for path in sorted((CONFIG_FOLDER / "dataset").glob("*.yaml")):
        source: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)["source"]  # type: ignore[index, call-overload]
        if "layout" in source:
            layouts[source["task"]] = Layout(**source["layout"])
    return layouts


class GlueSource:
    """One GLUE task. The hub's unlabelled rows, whose label is -1 there, come without labels."""

    def __init__(
        self,
        task: str,
        label_names: Sequence[str] | None,
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "nyu-mll/glue",
        layout: Mapping[str, Any] | None = None,
    ):
        """Names the task and where to look for it; nothing is read yet.

        Args:
            task: Name of the task; without `layout`, that of a packaged dataset.
            label_names: the classes in the order of their index; None for regression.
            cache: folder for what is read from `folder`.
            folder: GLUE's download (`GLUE_DIR`). Where it has no files of the task, the hub is asked.
            hub: the hub dataset.
            layout: Fields of `Layout`; None for the layout of the packaged dataset.

        Raises:
            ConfigError: if the task is unknown, or the layout lacks a field or has an unknown one.
        """
        self.task = task
        self.layout = _layout(task, layout)
        self.labels = LabelParser(label_names)
        self.cache = Path(cache)
        self.folder = Path(folder).expanduser() if folder else None
        self.hub = HubDataset(hub, self.layout.hub)

    def available(self) -> None:
        """Makes sure, within seconds, that there is something to load.

        Raises:
            DataError: saying what was missing and what runs without the hub.
        """
        if not self._files():
            needed = " and ".join(names[0] for names in self.layout.required.values())
            where = f"GLUE_DIR={self.folder} has no {needed}" if self.folder else "GLUE_DIR is not set"
            self.hub.require(f"dataset '{self.task}': {where}", f"set GLUE_DIR=<folder with {needed}>")

    def fingerprint(self) -> str:
        """Names the content: a hash of the files, or the hub's commit.

        Raises:
            DataError: if there is neither.
        """
        files = self._files()
        if not files:
            return f"{self.hub}@{self.hub.commit}"
        if MRPC_TRAIN in {path.name for path in files.values()}:
            files["dev_ids"] = _mrpc_dev_ids(files["dev"])
        return content_hash({split: file_digest(path) for split, path in files.items()})

    def has_labelled_test(self) -> bool:
        """Whether the test split has labels. Test sets of the hub have none.

        Raises:
            DataError: if a file that is needed is missing or cannot be read.
        """
        files = self._files()
        return "test" in files and self.layout.label in column_names(files["test"])

    def load(self) -> DatasetDict:
        """The splits that exist, with the task's text columns, and `label` where labelled.

        Raises:
            DataError: naming file and row, or what could not be had.
        """
        files = self._files()
        if files:
            return DatasetDict({split: self._read(split, path) for split, path in files.items()})
        if self.folder:
            log.warning("GLUE_DIR=%s has no files of '%s'; taking the hub's", self.folder, self.task)
        found = self.hub.load()
        return DatasetDict(
            {split: self._of_hub(found[name]) for split, name in self.layout.hub_splits.items()}
        )

    def _files(self) -> dict[str, Path]:
        """The files of the splits that exist; none, where the folder has none that the task requires."""
        if self.folder is None:
            return {}
        if not self.folder.is_dir():
            raise DataError(f"GLUE_DIR={self.folder}: there is no such folder")
        found = {}
        for split, names in self.layout.files.items():
            paths = [self.folder / name for name in names if (self.folder / name).is_file()]
            if paths:
                found[split] = paths[0]
        missing = [names[0] for split, names in self.layout.required.items() if split not in found]
        if len(missing) == len(self.layout.required):
            return {}
        if missing:
            others = ", ".join(str(path.relative_to(self.folder)) for path in found.values())
            raise DataError(f"{self.folder / missing[0]}: there is no such file, though there is {others}")
        return found

    def _read(self, split: str, path: Path) -> Dataset:
        layout = self.layout
        labelled = split != "test" or layout.label in column_names(path)
        return load_table(
            path,
            layout.columns,
            (layout.label, self.labels) if labelled else None,
            self.cache,
            split=split,
            header=layout.headerless if split != "test" else None,
            skip_malformed=layout.skip_malformed and split != "test",
            selection=_mrpc_selection(split, path) if path.name == MRPC_TRAIN else None,
        )

    def _of_hub(self, split: Dataset) -> Dataset:
        split = split.rename_columns({theirs: ours for ours, theirs in self.layout.hub_columns.items()})
        if len(split) and split[0].get("label", -1) != -1:
            classes = getattr(split.features["label"], "names", None)
            if classes is not None and tuple(classes) != self.labels.names:
                raise DataError(
                    f"{self.hub}: its classes are {', '.join(classes)}; set dataset.label_names so"
                )
            split = split.select_columns([*self.layout.columns, "label"])
            return split.cast_column("label", self.labels.feature)
        return split.select_columns(list(self.layout.columns))


def _layout(task: str, given: Mapping[str, Any] | None) -> Layout:
    if given is None:
        layouts = packaged_layouts()
        if task not in layouts:
            raise ConfigError(
                f"dataset.source.task: '{task}' is unknown; choose one of {', '.join(layouts)}, "
                "or give dataset.source.layout"
            )
        return layouts[task]
    plain: Any = OmegaConf.to_container(given, resolve=True) if OmegaConf.is_config(given) else given
    try:
        return Layout(**plain)
    except TypeError as error:
        raise ConfigError(f"dataset.source.layout: {str(error).removeprefix('Layout.__init__() ')}") from None


def _mrpc_dev_ids(train: Path) -> Path:
    ids = train.with_name("dev_ids.tsv")
    if not ids.is_file():
        raise DataError(
            f"{ids}: there is no such file; it says which pairs of {train.name} are the dev split"
        )
    return ids


def _mrpc_selection(split: str, path: Path) -> Selection:
    """The pairs of Microsoft's training file that GLUE assigns to `split`."""
    columns = ("#1 ID", "#2 ID")
    ids = _mrpc_dev_ids(path)
    dev = set()
    for row in read_rows(ids, columns, header=columns):
        if isinstance(row, MalformedRowError):
            raise row
        dev.add((row.values[columns[0]], row.values[columns[1]]))

    def keep(values: Mapping[str, Any]) -> bool:
        return ((values[columns[0]], values[columns[1]]) in dev) == (split == "dev")

    return Selection(keep, columns, key=f"{split} of {file_digest(ids)}")
