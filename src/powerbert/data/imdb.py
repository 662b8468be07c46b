"""IMDB movie reviews, with an 80/20 split of the training data for tuning (section 3.1)."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict, Value

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.hub import HubDataset, hold_out
from powerbert.data.labels import LabelParser
from powerbert.data.table import file_digest, load_table


class ImdbSource:
    """The reviews as they are, HTML line breaks included; equal reviews fall into the same split."""

    def __init__(
        self,
        label_names: Sequence[str],
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "stanfordnlp/imdb",
    ):
        """Says where to look; nothing is read yet.

        Args:
            label_names: the classes in the order of their index (negative, positive).
            cache: folder for what is read from `folder`.
            folder: has train.tsv and test.tsv, or the same with `.gz`, with the columns sentence and label
                (`IMDB_DIR`); None for the hub.
            hub: the hub dataset.
        """
        self.labels = LabelParser(label_names)
        self.cache = Path(cache)
        self.folder = Path(folder).expanduser() if folder else None
        self.hub = HubDataset(hub)

    def available(self) -> None:
        """Makes sure, within seconds, that there is something to load.

        Raises:
            DataError: saying what was missing and what runs without the hub.
        """
        if self.folder is not None:
            self._files(self.folder)
        else:
            instead = "set IMDB_DIR=<folder with train.tsv and test.tsv>"
            self.hub.require("dataset 'imdb': IMDB_DIR is not set", instead)

    def fingerprint(self) -> str:
        """Names the content: a hash of the files, or the hub's commit.

        Raises:
            DataError: if there is neither.
        """
        if self.folder is None:
            return f"{self.hub}@{self.hub.commit}"
        return content_hash({split: file_digest(path) for split, path in self._files(self.folder).items()})

    def load(self) -> DatasetDict:
        """The splits train and dev (of the training data) and test, with `sentence` and `label`.

        Raises:
            DataError: naming file and row, or what could not be had.
        """
        if self.folder is None:
            found = self.hub.load()
            parts = {split: self._of_hub(found[split]) for split in ("train", "test")}
        else:
            columns = {"sentence": "sentence"}
            parts = {
                split: load_table(path, columns, ("label", self.labels), self.cache, split=split)
                for split, path in self._files(self.folder).items()
            }
        train, dev = hold_out(parts["train"], "sentence")
        return DatasetDict({"train": train, "dev": dev, "test": parts["test"]})

    def _of_hub(self, split: Dataset) -> Dataset:
        return split.rename_column("text", "sentence").cast_column("label", Value("int64"))

    @staticmethod
    def _files(folder: Path) -> dict[str, Path]:
        found = {}
        for split in ("train", "test"):
            paths = [
                folder / name for name in (f"{split}.tsv", f"{split}.tsv.gz") if (folder / name).is_file()
            ]
            if not paths:
                raise DataError(f"IMDB_DIR={folder}: has neither {split}.tsv nor {split}.tsv.gz")
            found[split] = paths[0]
        return found
