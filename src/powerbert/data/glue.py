"""The GLUE tasks, from a folder in the layout of GLUE's own download, or from the hub."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError, DataError
from powerbert.data.folder import FileSource
from powerbert.data.hub import SPLITS, HubSource
from powerbert.data.readers import column_names, read_rows
from powerbert.data.task import packaged_source

MRPC_TRAIN = "msr_paraphrase_train.txt"
"""MRPC as Microsoft ships it, train and dev in one file; `dev_ids.tsv` beside it lists the pairs of dev."""

MRPC_IDS = ("#1 ID", "#2 ID")


@dataclass(frozen=True)
class Layout:
    """Where the rows of one task are, as `layout` in the dataset's yaml states it.

    Attributes:
        hub: Configuration of the hub dataset.
        columns: The task's text columns -> the files' columns.
        files: Splits -> the files that may hold them below `GLUE_DIR`; the first that exists is read.
        label: The files' column of labels.
        headerless: The columns of train and dev files that have no header line.
        skip_malformed: Whether malformed rows of the train and dev files are skipped.
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
    hub_splits: Mapping[str, str] = field(default_factory=SPLITS.copy)

    @property
    def required(self) -> dict[str, str]:
        """The first choice of files for train and dev, or for test where the task has no others."""
        first = {split: names[0] for split, names in self.files.items()}
        return {split: name for split, name in first.items() if split != "test"} or first


def read_layout(task: str, given: Mapping[str, Any] | None) -> Layout:
    """Read a layout; without one (sources of old manifests hold none) that of the packaged dataset.

    Raises:
        ConfigError: If the task is unknown, or the layout lacks a field or has an unknown one.
    """
    layout: Any = packaged_source(task).get("layout") if given is None else given
    if layout is None:
        raise ConfigError(f"dataset.source.task: '{task}' is unknown; give dataset.source.layout")
    plain: Any = OmegaConf.to_container(layout, resolve=True) if OmegaConf.is_config(layout) else layout
    try:
        return Layout(**plain)
    except TypeError as error:
        raise ConfigError(f"dataset.source.layout: {str(error).removeprefix('Layout.__init__() ')}") from None


class GlueSource(FileSource):
    """One GLUE task; the hub's copy also serves where `GLUE_DIR` has no files of the task."""

    setting = "GLUE_DIR"

    def __init__(
        self,
        task: str,
        label_names: Sequence[str] | None,
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "nyu-mll/glue",
        layout: Mapping[str, Any] | None = None,
    ):
        """Name the task and the places to read from; nothing is read yet.

        Args:
            layout: Fields of `Layout`, for `read_layout`.
        """
        self.layout = found = read_layout(task, layout)
        copy = HubSource(
            hub,
            list(found.columns),
            label_names,
            cache,
            name=found.hub,
            splits=found.hub_splits,
            columns=found.hub_columns,
        )
        needed = " and ".join(found.required.values())
        super().__init__(folder, found.columns, found.label, label_names, cache, copy, needed)

    def has_labelled_test(self) -> bool:
        """Tell from its header whether the test split has labels. The hub's test sets have none."""
        files = self.files()
        return "test" in files and self.label_column in column_names(files["test"])

    def find(self, folder: Path) -> dict[str, Path]:
        """Find the files of the splits that exist; none if no required file does."""
        found = {}
        for split, names in self.layout.files.items():
            paths = [folder / name for name in names if (folder / name).is_file()]
            if paths:
                found[split] = paths[0]
        missing = [name for split, name in self.layout.required.items() if split not in found]
        if len(missing) == len(self.layout.required):
            return {}
        if missing:
            others = ", ".join(str(path.relative_to(folder)) for path in found.values())
            raise DataError(f"{folder / missing[0]}: there is no such file, though there is {others}")
        return found

    def digests(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Hash the files of each split, and the list of MRPC's dev pairs where it is read."""
        read = dict(files)
        if MRPC_TRAIN in {path.name for path in files.values()}:
            read["dev_ids"] = _mrpc_dev_list(files["dev"])
        return super().digests(read)

    def read(self, split: str, found: Path, **reading: Any) -> Dataset:
        """Convert a file; no row of a test file is skipped, for GLUE's server needs a prediction for each."""
        if split != "test":
            reading = {"header": self.layout.headerless, "skip": self.layout.skip_malformed}
        rows = super().read(split, found, **reading)
        if found.name != MRPC_TRAIN:
            return rows
        dev = set(_mrpc_pairs(_mrpc_dev_list(found), header=MRPC_IDS))
        chosen = [index for index, pair in enumerate(_mrpc_pairs(found)) if (pair in dev) == (split == "dev")]
        return rows.select(chosen)


def _mrpc_dev_list(train: Path) -> Path:
    path = train.with_name("dev_ids.tsv")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; it lists the pairs of {train.name} that form dev")
    return path


def _mrpc_pairs(path: Path, header: Sequence[str] | None = None) -> Iterator[tuple[str, ...]]:
    for row in read_rows(path, MRPC_IDS, header=header):
        yield tuple(row.values[column] for column in MRPC_IDS)
