"""Read any file as every reader does: it must give rows or a `UserError`."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

from powerbert.base.errors import UserError
from powerbert.data.race import read_questions
from powerbert.data.readers import SUFFIXES, Skipped, column_names, find_form, read_rows
from powerbert.data.task import LabelParser, Task
from powerbert.predict.inputs import Inputs

COLUMNS = ("text", "label")
TASKS = (
    Task("reviews", ("text",), ("bad", "good"), "accuracy", 8),
    Task("exam", ("text", "label"), ("A", "B"), "accuracy", 8, kind="multiple_choice"),
)
PARSERS = (LabelParser(("bad", "good")), LabelParser(("1", "2")), LabelParser(None))
LETTERS = LabelParser(("A", "B", "C", "D"))
KINDS = (*SUFFIXES, "race")
"""The readers: by suffix, and the one of RACE's articles."""


def read(kind: str, content: bytes) -> None:
    """Read a file with every reader of its kind, one of `KINDS`; errors other than `UserError` propagate."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / f"file{kind}"
        path.write_bytes(content)
        _read_article(path) if kind == "race" else _read_rows(path)


def _read_rows(path: Path) -> None:
    with suppress(UserError):
        column_names(path)
    for header in (None, COLUMNS):
        with suppress(UserError):
            form = find_form(path, COLUMNS, header, ours=COLUMNS)
            for row in read_rows(path, COLUMNS, header=header, form=form, bad=Skipped()):
                with suppress(UserError):
                    row.text("text").encode()
                for parse in PARSERS:
                    with suppress(UserError):
                        row.label("label", parse)
    for task in TASKS:
        with suppress(UserError):
            for texts in Inputs(path).rows(task, task.text_columns, ["label"]):
                json.dumps(texts, ensure_ascii=False).encode()


def _read_article(path: Path) -> None:
    with suppress(UserError):
        for row in read_questions([path]):
            texts = [row.text("article"), *row.texts("options", 4), row.label("answer", LETTERS)]
            json.dumps(texts, ensure_ascii=False).encode()


def _memory() -> str | None:
    """Return a folder in memory if the system has one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
