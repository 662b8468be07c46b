import errno
import itertools
import os

import pytest
from safetensors import SafetensorError

from powerbert.base.errors import (
    StorageError,
    causes,
    find_storage_error,
    find_user_error,
    printable,
    shorten,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é 漢 😀\nsecond line", "plain, é 漢 😀\nsecond line"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("half \ud800", r"half \ud800"),
        ("\x9b2J \x00 \r", r"\x9b2J \x00 \r"),
        ("\u202egnihtyna", r"\u202egnihtyna"),
    ],
)
def test_messages_hold_nothing_that_a_terminal_obeys(text, shown):
    assert printable(text) == shown
    printable(text).encode()


def test_long_quotations_end_in_an_ellipsis():
    assert shorten("a" * 80) == "a" * 80
    assert shorten("a" * 81) == "a" * 80 + "..."
    assert shorten(1.5) == "1.5"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EDQUOT, "Disk quota exceeded"),
        (errno.EROFS, "Read-only file system; choose a folder"),
        (errno.EACCES, "Permission denied; choose a folder"),
    ],
)
def test_a_storage_error_names_the_file_and_the_remedy(number, told):
    error = find_storage_error(OSError(number, os.strerror(number), "runs/x.json"), "runs")
    assert isinstance(error, StorageError)
    assert str(error).startswith(f"runs/x.json: {told}")


def test_a_storage_error_without_a_file_names_the_folder():
    error = find_storage_error(OSError(errno.ENOSPC, "No space left on device"), "runs")
    assert str(error).startswith("a file under runs: No space left on device")


def test_a_storage_error_is_found_among_causes_and_in_the_words_of_libraries():
    wrapped = ValueError("could not generate")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert find_storage_error(wrapped, "runs") is not None
    told = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert str(find_storage_error(told, "runs")).startswith("a file under runs: No space left on device")


@pytest.mark.parametrize("error", [None, FileNotFoundError(errno.ENOENT, "no"), ValueError("os error 28")])
def test_other_errors_are_none_of_storage(error):
    assert find_storage_error(error, "runs") is None


@pytest.mark.parametrize(("there", "back"), itertools.product(("__cause__", "__context__"), repeat=2))
def test_circles_of_causes_and_contexts_end(there, back):
    first, second = ValueError("first"), KeyError("second")
    setattr(first, there, second)
    setattr(second, back, first)
    assert list(itertools.islice(causes(first, contexts=True), 3)) == [first, second]
    assert find_user_error(first) is None
    assert find_storage_error(first, "runs") is None
