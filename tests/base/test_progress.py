import io
import sys

import pytest

from powerbert.base.progress import progress


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_a_bar(monkeypatch, terminal):
    error = io.StringIO()
    error.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", error)
    assert list(progress(range(3), "Counting")) == [0, 1, 2]
    assert ("Counting" in error.getvalue()) is terminal
    assert list(progress(iter(range(3)), "Again", total=3)) == [0, 1, 2]
    assert ("/3" in error.getvalue()) is terminal
