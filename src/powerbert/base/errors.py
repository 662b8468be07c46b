"""Errors whose message alone tells a user what was wrong, where, and what to do."""

import errno
import os
import re
from collections.abc import Iterator


class UserError(Exception):
    """Something the user can put right; printed without a traceback, exit status 1."""


class ConfigError(UserError):
    """A value of the configuration that cannot be meant; its message begins with the key."""


class DataError(UserError):
    """A dataset that cannot be read; its message names file and row."""


class ModelError(UserError):
    """A model or artifact folder that cannot be loaded; its message names the folder."""


class TrainingError(UserError):
    """A training that cannot go on; its message names the stage."""


class StorageError(UserError):
    """A file that cannot be written; its message names the file or the folder."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors and tokenizers tell the number of the system's error."""


def shorten(text: object, longest: int = 80) -> str:
    """Quotes what a file holds in a message, however long it is.

    Args:
        text: as the file has it.
        longest: number of characters that are kept.

    Returns:
        The text, or its beginning with an ellipsis.
    """
    shown = str(text)
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def printable(text: str) -> str:
    """Makes a message safe for a terminal and for a file of any encoding.

    Args:
        text: may quote anything: control characters, such as those that a terminal obeys, or halves of
            surrogate pairs.

    Returns:
        The text; but for line ends, characters that cannot be printed are written as in Python, `\\x1b`.
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
    """The user's error in a chain of causes: Hydra wraps what the things it instantiates raise.

    Args:
        error: as it was caught.

    Returns:
        The first `UserError` of the chain, or None.
    """
    return next((cause for cause in causes(error) if isinstance(cause, UserError)), None)


def find_storage_error(error: BaseException | None, place: str) -> StorageError | None:
    """What a user can do about a full disk, or a folder that cannot be written.

    Args:
        error: as it was caught; it may be the last of a chain of causes.
        place: the folder that was written to, for errors that do not name their file.

    Returns:
        The error for the user; None if none of the chain is of that kind.
    """
    for cause in causes(error):
        told = _RUST.search(str(cause))
        number = cause.errno if isinstance(cause, OSError) else int(told[1]) if told else None
        if number in FULL | READ_ONLY:
            where = getattr(cause, "filename", None) or f"a file under {place}"
            remedy = (
                "make room there; what is finished stays, and the same command goes on where it was"
                if number in FULL
                else "choose a folder that can be written to, such as paths.runs=<folder>"
            )
            return StorageError(f"{where}: {os.strerror(number)}; {remedy}")
    return None
