"""Files that a user asked for with `output=`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from powerbert.base.errors import ConfigError
from powerbert.base.files import write_whole


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Write a UTF-8 text file that appears complete, at the end of the block, or not at all.

    Args:
        path: the file, which is replaced; missing folders are made. A device or a pipe is written directly.

    Raises:
        ConfigError: naming `output`, if the file cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"output: {path} is a folder; give a file")
    target = path.resolve()  # a link stays a link
    direct = path.exists() and not path.is_file()
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            opened = path.open("w", encoding="utf-8", newline="\n") if direct else write_whole(target)
            file = stack.enter_context(opened)
        except OSError as error:
            raise ConfigError(f"output: {target.parent} cannot be written to ({error.strerror})") from error
        yield file
