"""RACE: reading comprehension with four choices (multiple choice, section 3.1)."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, List, Value

from powerbert.base.checks import check_choice
from powerbert.base.errors import DataError, shorten
from powerbert.base.files import content_hash
from powerbert.data.hub import SPLITS, HubDataset
from powerbert.data.table import cached_dataset

FEATURES = Features({"article": Value("string"), "choices": List(Value("string")), "label": Value("int64")})
LEVELS = {"all": ("high", "middle"), "high": ("high",), "middle": ("middle",)}


class RaceSource:
    """Rows of an article, four choices (the question with one option each) and the right one's index."""

    def __init__(
        self,
        label_names: Sequence[str],
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "ehovy/race",
        level: str = "all",
    ):
        """Name the places to read from; nothing is read yet.

        Args:
            label_names: The letters of the options, in order.
            cache: Folder for converted rows.
            folder: The official download, with `train/high/1.txt` and so on (`RACE_DIR`); None for the hub.
            hub: Id of the hub dataset.
            level: `high`, `middle` or `all`.

        Raises:
            ConfigError: If the level is unknown.
        """
        check_choice("dataset.source.level", level, LEVELS)
        self.letters = tuple(label_names)
        self.cache = Path(cache)
        self.folder = Path(folder).expanduser() if folder else None
        self.level = level
        self.hub = HubDataset(hub, level)

    def available(self) -> None:
        """Check, within seconds, that the articles can be loaded."""
        if self.folder is not None:
            for split in SPLITS:
                self._articles(self.folder, split)
        else:
            instead = "set RACE_DIR=<folder with train/high/*.txt and so on>"
            self.hub.require("dataset 'race': RACE_DIR is not set", instead)

    def fingerprint(self) -> str:
        """Hash the files, or name the hub's commit."""
        if self.folder is None:
            return self.hub.version
        return content_hash({split: _digest(self._articles(self.folder, split)) for split in SPLITS})

    def load(self) -> DatasetDict:
        """Load train, dev and test, with `article`, `choices` and `label`."""
        found = self.hub.load() if self.folder is None else {}
        splits = {}
        for split, hub_split in SPLITS.items():
            if self.folder is None:
                rows, version = partial(self._hub_rows, found[hub_split]), self.hub.version
            else:
                articles = self._articles(self.folder, split)
                rows, version = partial(self._file_rows, articles), _digest(articles)
            key = {"race": version, "letters": self.letters}
            splits[split] = cached_dataset(rows, FEATURES, key, self.cache, split)
        return DatasetDict(splits)

    def _articles(self, folder: Path, split: str) -> list[Path]:
        found = [
            path for level in LEVELS[self.level] for path in sorted((folder / split / level).glob("*.txt"))
        ]
        if not found:
            wanted = " or ".join(f"{split}/{level}" for level in LEVELS[self.level])
            raise DataError(f"RACE_DIR={folder}: has no .txt files in {wanted}")
        return found

    def _file_rows(self, articles: Sequence[Path]) -> Iterator[dict[str, Any]]:
        for path in articles:
            article, questions = _read_article(path)
            for number, (question, options, answer) in enumerate(questions, start=1):
                yield self._row(f"{path}, question {number}", article, question, options, answer)

    def _hub_rows(self, split: Dataset) -> Iterator[dict[str, Any]]:
        for row in split:
            where = f"{self.hub}, {row['example_id']}"
            yield self._row(where, row["article"], row["question"], row["options"], row["answer"])

    def _row(self, where: str, article: str, question: Any, options: Any, answer: Any) -> dict[str, Any]:
        count = len(self.letters)
        if not isinstance(question, str) or not isinstance(options, list) or len(options) != count:
            found = shorten(repr(options))
            raise DataError(f"{where}: needs a question and {count} options, found {found}")
        if answer not in self.letters:
            raise DataError(f"{where}: answer '{shorten(answer)}' is not one of {', '.join(self.letters)}")
        choices = [complete(question, str(option)) for option in options]
        try:
            "".join([article, *choices]).encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}: holds half of a surrogate pair, not a character") from None
        return {"article": article, "choices": choices, "label": self.letters.index(answer)}


def complete(question: str, option: str) -> str:
    """Put an option into the question's blanks, written `_`, or after a question without blanks."""
    return question.replace("_", option) if "_" in question else f"{question} {option}"


def _digest(paths: Sequence[Path]) -> str:
    """Hash the contents of many small files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read_article(path: Path) -> tuple[str, list[tuple[Any, Any, Any]]]:
    """Read an article and its questions, each with its options and answer."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
        questions = zip(content["questions"], content["options"], content["answers"], strict=True)
        return str(content["article"]), list(questions)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error})") from None
    except KeyError as error:
        raise DataError(f"{path}: has no {error}; it needs article, questions, options, answers") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: is not an article of RACE ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
