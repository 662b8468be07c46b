"""Strict JSON on disk: no NaN, one canonical form for hashing, files that are whole or absent."""

import hashlib
import json
import math
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from powerbert.base.errors import ConfigError


def plain(value: Any) -> Any:
    """Convert nested mappings, sequences and scalars to what strict JSON can hold.

    Paths become strings, NumPy and torch scalars become Python numbers, and numbers that are not finite
    become None.

    Raises:
        TypeError: for anything else, such as a tensor with several elements.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return plain(value.item())
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON: {value!r}")


def content_hash(value: Mapping[str, Any]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON text.

    The value is anything that `plain` accepts; the order of keys does not matter.
    """
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_synced(path: Path, value: Mapping[str, Any]) -> None:
    """Write an indented JSON file, whole and on disk, into an existing folder.

    The value is anything that `plain` accepts.
    """
    with write_whole(path) as file:
        json.dump(plain(value), file, indent=2, allow_nan=False)
        file.write("\n")


@contextmanager
def write_whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Write a file that appears, complete and on disk, at the end of the block, or not at all.

    A file that exists is replaced; the folder must exist. The folder's new entry is not synced; call `sync`
    on the folder where that matters.

    Args:
        mode: "w" for UTF-8 text with "\n" as line end, "wb" for bytes.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with part.open(mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def output_file(path: Path) -> Iterator[IO[Any]]:
    """Write the UTF-8 text file that `output=` gives: it appears complete, at the block's end, or not at all.

    A file that exists is replaced, missing folders are created, a device or a pipe is written directly.

    Raises:
        ConfigError: naming `output`, if the file is not writable.
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


def folder_by_content(root: Path, write: Callable[[Path], object], name: Callable[[Path], str]) -> Path:
    """Write a folder below `root` that is named by what it holds; one that exists is kept.

    Args:
        write: fills an empty folder.
        name: names a filled folder.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".part-") as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        write(whole)
        folder = root / name(whole)
        if not folder.is_dir():
            for path in (*whole.rglob("*"), whole):
                sync(path)
            try:
                whole.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
    return folder


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of entries, is on disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_name(*parts: object, longest: int = 48) -> str:
    """Join parts with hyphens into the name of a file or folder, without an extension.

    Each part is cut to its first `longest` characters. Characters other than letters, digits and `._=+-`
    become `_`, so that a part never names another folder.
    """
    cleaned = (
        "".join(c if c.isascii() and (c.isalnum() or c in "._=+-") else "_" for c in str(p)) for p in parts
    )
    return "-".join(part.lstrip(".-")[:longest] or "_" for part in cleaned)


def is_file_name(name: object) -> bool:
    """Return whether a value is a name as `file_name` gives, which never names another folder."""
    return isinstance(name, str) and file_name(name, longest=len(name)) == name
