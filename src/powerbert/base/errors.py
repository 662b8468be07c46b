"""Errors whose message alone tells a user what was wrong, where, and what to do."""

import errno
import os
import re
from collections.abc import Iterator


class UserError(Exception):
    """An error that the user can fix; printed without a traceback, exit status 1."""


class ConfigError(UserError):
    """An invalid setting; the message begins with its key."""


class DataError(UserError):
    """A dataset that cannot be read; the message names file and row."""


class ModelError(UserError):
    """A model or artifact folder that cannot be loaded; the message names the folder."""


class TrainingError(UserError):
    """A training that cannot continue; the message names the stage."""


class StorageError(UserError):
    """A file that cannot be written; the message names the file or the folder."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

EXTRAS = {"moocore": "report", "plotly": "report", "wandb": "wandb"}
"""The extra that installs a package which only some commands need."""

_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors and tokenizers state the number of the system's error."""


def shorten(text: object, longest: int = 80) -> str:
    """Shorten text that a message quotes to its first `longest` characters and an ellipsis."""
    shown = str(text)
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def printable(text: str) -> str:
    """Make a message safe for a terminal and for a file of any encoding.

    Characters that cannot be printed, such as terminal escapes and halves of surrogate pairs, are written as
    in Python, `\\x1b`. Line ends stay.
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def causes(error: BaseException | None, contexts: bool = False) -> Iterator[BaseException]:
    """Walk from an error to what caused it; each error comes once, even where the chain is a circle.

    Args:
        error: the error that was caught; it comes first.
        contexts: also follow `__context__`, the error that was being handled when another was raised.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__context__, current.__cause__] if contexts else [current.__cause__]


def find_user_error(error: BaseException | None) -> UserError | None:
    """Find the first `UserError` in a chain of causes: Hydra wraps the errors of what it instantiates.

    A package of one of powerbert's extras that is missing is one as well.
    """
    for cause in causes(error):
        if isinstance(cause, UserError):
            return cause
        package = cause.name.partition(".")[0] if isinstance(cause, ImportError) and cause.name else ""
        if extra := EXTRAS.get(package):
            return ConfigError(f'{package} is not installed: pip install "powerbert[{extra}]"')
    return None


def find_storage_error(error: BaseException | None, place: str) -> StorageError | None:
    """Find a full disk or an unwritable folder in a chain of causes, and say what to do about it.

    Args:
        place: the folder that was written to, for errors that do not name their file.
    """
    for cause in causes(error):
        told = _RUST.search(str(cause))
        number = cause.errno if isinstance(cause, OSError) else int(told[1]) if told else None
        if number in FULL | READ_ONLY:
            where = getattr(cause, "filename", None) or f"a file under {place}"
            remedy = (
                "free space there; finished work is kept, and the same command resumes"
                if number in FULL
                else "choose a folder that can be written to, such as paths.runs=<folder>"
            )
            return StorageError(f"{where}: {os.strerror(number)}; {remedy}")
    return None
