"""An evolutionary search of the retentions that lose least at each cost, for a model trained for many."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from powerbert.base.progress import progress


class Retention(NamedTuple):
    """Which encoders run, from 0, and the share of an input that each of them retains, non-increasing."""

    encoders: tuple[int, ...]
    shares: tuple[float, ...]


class Evaluated(NamedTuple):
    """A retention, its cost, and what it loses."""

    retention: Retention
    cost: float
    loss: float


def evolve(
    start: Iterable[Retention],
    cost: Callable[[Retention], float],
    loss: Callable[[Retention], float],
    *,
    evaluations: int,
    seed: int,
) -> list[Evaluated]:
    """Search the retentions with the least loss for their cost; return all that were evaluated.

    Half of the children are mutations of a survivor, each share with probability 1/2 drawn anew between its
    neighbours, or set to the one before, since an encoder that retains all need not score. The other half are
    means of two survivors with the same encoders. Survivors are the front.

    Args:
        start: the first retentions; all are evaluated.
        evaluations: of the loss, those of `start` included; a retention is evaluated once.
    """
    draw = random.Random(seed)
    known: dict[Retention, Evaluated] = {}
    queue = list(dict.fromkeys(start))
    for _ in progress(range(evaluations), "Choosing the retention of each speed"):
        for _ in range(100):  # a child may be known already
            child = queue.pop(0) if queue else _child(pareto_front(known.values()), draw)
            if child not in known:
                known[child] = Evaluated(child, cost(child), loss(child))
                break
    return list(known.values())


def pareto_front(points: Iterable[Evaluated]) -> list[Evaluated]:
    """Return the points of which none is both cheaper and better, by increasing cost."""
    front: list[Evaluated] = []
    for point in sorted(points, key=lambda point: (point.cost, point.loss)):
        if not front or point.loss < front[-1].loss:
            front.append(point)
    return front


def _child(front: Sequence[Evaluated], draw: random.Random) -> Retention:
    one = draw.choice(front).retention
    partners = [other.retention for other in front if other.retention.encoders == one.encoders]
    if draw.random() < 0.5 and len(partners) > 1:
        other = draw.choice(partners)
        mean = ((a + b) / 2 for a, b in zip(one.shares, other.shares, strict=True))
        return Retention(one.encoders, tuple(round(share, 4) for share in mean))
    shares = [1.0, *one.shares]
    for place in range(1, len(one.shares)):  # not the last, which is [CLS] alone
        if draw.random() < 0.5:
            low, high = shares[place + 1], shares[place - 1]
            shares[place] = high if draw.random() < 0.25 else round(draw.uniform(low, high), 4)
    return Retention(one.encoders, tuple(shares[1:]))
