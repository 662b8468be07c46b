"""IMDB movie reviews, with an 80/20 split of the training data for tuning (section 3.1)."""

from collections.abc import Sequence
from pathlib import Path

from powerbert.base.errors import DataError
from powerbert.data.folder import FileSource
from powerbert.data.hub import HubSource


class ImdbSource(FileSource):
    """The unchanged reviews, HTML line breaks included; equal reviews fall into the same split.

    The folder holds train.tsv and test.tsv (or the same with `.gz`) of the columns sentence and label.
    """

    setting = "IMDB_DIR"

    def __init__(
        self,
        label_names: Sequence[str],
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "stanfordnlp/imdb",
    ):
        """Name the classes (negative, positive) and the places to read from; nothing is read yet."""
        splits, columns = {"train": "train", "dev": None, "test": "test"}, {"sentence": "text"}
        copy = HubSource(hub, ["sentence"], ["neg", "pos"], cache, splits=splits, columns=columns)
        needed = "train.tsv and test.tsv"
        super().__init__(folder, {"sentence": "sentence"}, "label", label_names, cache, copy, needed)

    def find(self, folder: Path) -> dict[str, Path]:
        """Find the two files."""
        found = {}
        for split in ("train", "test"):
            paths = [path for path in (folder / f"{split}.tsv", folder / f"{split}.tsv.gz") if path.is_file()]
            if not paths:
                raise DataError(f"IMDB_DIR={folder}: has neither {split}.tsv nor {split}.tsv.gz")
            found[split] = paths[0]
        return found
