"""A bar with an estimate for what takes long, on a terminal only."""

import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")

SECONDS = 0.1
"""Between two redrawings."""


def progress(
    items: Iterable[Item], description: str, *, total: int | None = None, console: Console | None = None
) -> Iterator[Item]:
    """Passes items on, and shows how many are done and how long the others may take.

    The bar goes away at the end. It is redrawn between items only: a refreshing thread would take time from
    what is measured.

    Args:
        items: to pass on.
        description: of what is done with them.
        total: their number; by default `len(items)`, if they have one.
        console: where to draw; by default standard error. Where it is no terminal, nothing is drawn.

    Yields:
        The items.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task(description, total=total)
        drawn = time.monotonic()
        for item in items:
            yield item
            bar.advance(task)
            if time.monotonic() - drawn >= SECONDS:
                bar.refresh()
                drawn = time.monotonic()
