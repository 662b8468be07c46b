import io

from rich.console import Console

from powerbert.base import progress as module
from powerbert.base.progress import progress


def drawn(terminal: bool, items, **kwargs) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    assert list(progress(items, "Counting", console=console, **kwargs)) == [0, 1, 2]
    return console.file.getvalue()


def test_shows_how_far_it_is_on_a_terminal_only(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0)
    assert drawn(False, range(3)) == ""
    text = drawn(True, range(3))
    assert "Counting" in text
    assert "67%" in text
    assert "33%" in drawn(True, iter(range(3)), total=3)
