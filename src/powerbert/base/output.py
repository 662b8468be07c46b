"""Files that a user asked for with `output=`."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from powerbert.base.errors import ConfigError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Writes a text file that appears whole, at the end of the block, or not at all.

    Args:
        path: of the file, which is replaced; folders above it are made. A device or a pipe is written to
            as it is.

    Yields:
        The file, open for UTF-8 text.

    Raises:
        ConfigError: naming `output`, if it cannot be written there.
    """
    if path.is_dir():
        raise ConfigError(f"output: {path} is a folder; give a file")
    if path.exists() and not path.is_file():
        with _open(path) as file:
            yield file
        return
    target = path.resolve()  # a link stays a link
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    file = _open(part)
    try:
        with file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _open(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"output: {path.parent} cannot be written to ({error.strerror})") from error
