"""RACE: reading comprehension with four choices (multiple choice, section 3.1)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset

from powerbert.base.checks import check_choice
from powerbert.base.errors import DataError
from powerbert.data.folder import FileSource
from powerbert.data.hub import SPLITS, HubSource
from powerbert.data.readers import Row
from powerbert.data.table import convert_rows

LEVELS = {"all": ("high", "middle"), "high": ("high",), "middle": ("middle",)}
COLUMNS = {"article": "article", "choices": "options"}


class RaceSource(FileSource):
    """Rows of an article, four choices (the question with one option each) and the right one's index.

    The folder is the official download, with `train/high/1.txt` and so on.
    """

    setting = "RACE_DIR"

    def __init__(
        self,
        label_names: Sequence[str],
        cache: str | Path,
        folder: str | Path | None = None,
        hub: str = "ehovy/race",
        level: str = "all",
    ):
        """Name the letters of the options and the places to read from; nothing is read yet.

        Raises:
            ConfigError: If the level is neither `high`, `middle` nor `all`.
        """
        check_choice("dataset.source.level", level, LEVELS)
        self.levels = LEVELS[level]
        copy = HubSource(
            hub,
            list(COLUMNS),
            label_names,
            cache,
            name=level,
            columns=COLUMNS,
            label_column="answer",
            prepare=fill_in,
            multiple_choice=True,
        )
        super().__init__(folder, COLUMNS, "answer", label_names, cache, copy, "train/high/*.txt and so on")

    def find(self, folder: Path) -> dict[str, list[Path]]:
        """Find the articles of each split."""
        found = {}
        for split in SPLITS:
            paths = [path for level in self.levels for path in sorted((folder / split / level).glob("*.txt"))]
            if not paths:
                wanted = " or ".join(f"{split}/{level}" for level in self.levels)
                raise DataError(f"RACE_DIR={folder}: has no .txt files in {wanted}")
            found[split] = paths
        return found

    def digests(self, files: Mapping[str, Sequence[Path]]) -> dict[str, str]:
        """Hash the articles of each split, in order."""
        return {split: _digest(articles) for split, articles in files.items()}

    def read(self, split: str, found: Sequence[Path], **reading: Any) -> Dataset:
        """Convert the questions of the articles."""
        rows, labels = partial(read_questions, found), (self.label_column, self.labels)
        key, choices = {"race": _digest(found)}, len(self.labels.names or ())
        return convert_rows(rows, self.columns, labels, key, self.cache, split, choices=choices)


def read_questions(articles: Sequence[Path]) -> Iterator[Row]:
    """Read the questions of articles, with the hub's columns.

    Raises:
        DataError: Naming the article that cannot be read.
    """
    for path in articles:
        try:
            content = json.loads(path.read_bytes().decode("utf-8-sig"))
            article = content["article"]
            questions = list(zip(content["questions"], content["options"], content["answers"], strict=True))
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not UTF-8 ({error})") from None
        except KeyError as error:
            raise DataError(
                f"{path}: has no {error}; it needs article, questions, options, answers"
            ) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: is not an article of RACE ({error})") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        for number, (question, options, answer) in enumerate(questions, start=1):
            values = {"article": article, "question": question, "options": options, "answer": answer}
            yield fill_in(Row(f"{path}, question {number}", values))


def fill_in(row: Row) -> Row:
    """Put each option into the question's blanks, written `_`, or after a question without blanks."""
    question, options = row.text("question"), row.values["options"]
    if isinstance(options, list):
        blanks = question if "_" in question else f"{question} _"
        options = [blanks.replace("_", str(option)) for option in options]
    return Row(row.place, {**row.values, "options": options})


def _digest(articles: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in articles:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
