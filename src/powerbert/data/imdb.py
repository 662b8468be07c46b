"""IMDB movie reviews, with an 80/20 split of the training data for tuning (section 3.1)."""

from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetDict

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.hub import HubSource
from powerbert.data.table import file_digest, hold_out, load_table
from powerbert.data.task import LabelParser

HUB_CLASSES = ("neg", "pos")


class ImdbSource:
    """The unchanged reviews, HTML line breaks included; equal reviews fall into the same split."""

    def __init__(
        self,
        label_names: Sequence[str],
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "stanfordnlp/imdb",
    ):
        """Name the places to read from; nothing is read yet.

        Args:
            label_names: The classes in the order of their index (negative, positive).
            cache: Folder for converted rows.
            folder: `IMDB_DIR`, with train.tsv and test.tsv (or the same with `.gz`) of the columns sentence
                and label; None for the hub.
            hub: Id of the hub dataset.
        """
        self.labels = LabelParser(label_names)
        self.cache = Path(cache)
        self.folder = Path(folder).expanduser() if folder else None
        splits = {"train": "train", "dev": None, "test": "test"}
        columns = {"sentence": "text"}
        self.hub = HubSource(hub, ["sentence"], HUB_CLASSES, cache, splits=splits, columns=columns)

    def available(self) -> None:
        """Check, within seconds, that the reviews can be loaded."""
        if self.folder is not None:
            self._files(self.folder)
        else:
            instead = "set IMDB_DIR=<folder with train.tsv and test.tsv>"
            self.hub.dataset.require("dataset 'imdb': IMDB_DIR is not set", instead)

    def fingerprint(self) -> str:
        """Hash the files, or name the hub's commit."""
        if self.folder is None:
            return self.hub.dataset.version
        return content_hash({split: file_digest(path) for split, path in self._files(self.folder).items()})

    def load(self) -> DatasetDict:
        """Load train and dev (both of the training data) and test, with `sentence` and `label`."""
        if self.folder is None:
            return self.hub.load()
        parts = {
            split: load_table(path, {"sentence": "sentence"}, ("label", self.labels), self.cache, split=split)
            for split, path in self._files(self.folder).items()
        }
        train, dev = hold_out(parts["train"], "sentence")
        return DatasetDict({"train": train, "dev": dev, "test": parts["test"]})

    @staticmethod
    def _files(folder: Path) -> dict[str, Path]:
        found = {}
        for split in ("train", "test"):
            candidates = [folder / f"{split}.tsv", folder / f"{split}.tsv.gz"]
            paths = [path for path in candidates if path.is_file()]
            if not paths:
                raise DataError(f"IMDB_DIR={folder}: has neither {split}.tsv nor {split}.tsv.gz")
            found[split] = paths[0]
        return found
