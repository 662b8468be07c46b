"""The progress bar of everything but training."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str, *, total: int | None = None) -> Iterable[Item]:
    """Yield the items, and draw a bar on a terminal that disappears at the end.

    Args:
        total: number of items; None for `len(items)`, if they have one.
    """
    bar: Iterable[Item] = tqdm(items, description, total, leave=False, disable=None)
    return bar
