"""Read any file as every reader does: it must give rows or a `UserError`."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

from powerbert.base.errors import UserError
from powerbert.data.race import RaceSource
from powerbert.data.readers import SUFFIXES, MalformedRowError, column_names, read_rows
from powerbert.data.task import LabelParser, Task
from powerbert.data.tokenize import read_texts

COLUMNS = ("text", "label")
TASKS = (
    Task("reviews", ("text",), ("bad", "good"), "accuracy", 8),
    Task("exam", ("text", "label"), ("A", "B"), "accuracy", 8, kind="multiple_choice"),
)
PARSERS = (LabelParser(("bad", "good")), LabelParser(("1", "2")), LabelParser(None))
KINDS = (*SUFFIXES, "race")
"""The readers: by suffix, and the one of RACE's articles."""


def read(kind: str, content: bytes) -> int:
    """Read a file with every reader of its kind; errors other than `UserError` propagate.

    Args:
        kind: One of `KINDS`.

    Returns:
        The number of rows read.
    """
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        if kind == "race":
            return _read_race(Path(folder), content)
        path = Path(folder) / f"file{kind}"
        path.write_bytes(content)
        return _read_rows(path)


def _read_rows(path: Path) -> int:
    rows = 0
    with suppress(UserError):
        column_names(path)
    for header in (None, COLUMNS):
        with suppress(UserError):
            for row in read_rows(path, COLUMNS, header=header):
                if isinstance(row, MalformedRowError):
                    continue
                rows += 1
                with suppress(UserError):
                    row.text("text").encode()
                for parse in PARSERS:
                    with suppress(ValueError):
                        parse(row.values["label"])
    for task in TASKS:
        with suppress(UserError):
            for texts in read_texts(path, task):
                rows += 1
                json.dumps(texts, ensure_ascii=False).encode()
    return rows


def _read_race(folder: Path, content: bytes) -> int:
    article = folder / "train" / "high" / "1.txt"
    article.parent.mkdir(parents=True)
    article.write_bytes(content)
    source = RaceSource(("A", "B", "C", "D"), folder / "cache", folder, level="high")
    with suppress(UserError):
        return sum(1 for row in source._file_rows([article]) if json.dumps(row, ensure_ascii=False).encode())
    return 0


def _memory() -> str | None:
    """Return a folder in memory if the system has one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
