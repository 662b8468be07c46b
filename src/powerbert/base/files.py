"""Strict JSON on disk: no NaN, one canonical form for hashing, files that are whole or absent."""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def plain(value: Any) -> Any:
    """Turns a value into what strict JSON can hold.

    Args:
        value: nested mappings, sequences and scalars. Paths become strings, NumPy and torch scalars
            become Python numbers, and numbers that are not finite become `None`.

    Returns:
        The same structure made of dict, list, str, int, float, bool and None.

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
    """Names a value by its content.

    Args:
        value: anything that `plain` accepts; the order of keys does not matter.

    Returns:
        The first 16 hexadecimal digits of the SHA-256 of the canonical JSON text.
    """
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_synced(path: Path, value: Mapping[str, Any]) -> None:
    """Writes an indented JSON file and waits until it has reached the disk.

    Args:
        path: the file; its folder must exist.
        value: anything that `plain` accepts.
    """
    with path.open("w", encoding="utf-8") as file:
        json.dump(plain(value), file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def write_whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Write a file that appears, complete and on disk, at the end of the block, or not at all.

    A file that exists is replaced. The new entry of the folder is not synced; call `sync` on the folder
    where that matters.

    Args:
        path: the file; its folder must exist.
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


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of entries, has reached the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_name(*parts: object, longest: int = 48) -> str:
    """Builds a readable name of a file or folder, safe whatever the parts hold.

    Args:
        parts: joined by hyphens. Characters other than letters, digits and `._=+-` become `_`, so that
            a part never names another folder.
        longest: number of characters kept of each part.

    Returns:
        The name, without an extension.
    """
    cleaned = (
        "".join(c if c.isascii() and (c.isalnum() or c in "._=+-") else "_" for c in str(p)) for p in parts
    )
    return "-".join(part.lstrip(".-")[:longest] or "_" for part in cleaned)


def is_file_name(name: object) -> bool:
    """Whether something that was read could come from `file_name`: text that never names another folder."""
    return isinstance(name, str) and file_name(name, longest=len(name)) == name
