"""Which points are worth having, and one number for each method: Pareto fronts and hypervolumes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from powerbert.report.curves import COSTS, Comparison, Cost, Point

Pair = tuple[float, float]
"""A metric, of which more is better, and a cost, of which less is better."""

_MAXIMISE = (True, False)
_ROUNDING = 1e-9  # a loss of exactly the tolerance is within it


def non_dominated(pairs: Sequence[Pair]) -> list[bool]:
    """Marks the pairs that no other one beats.

    A pair is beaten by one that is at least as good in both respects and better in one; equal pairs do not
    beat each other.

    Args:
        pairs: in any order; there may be none.

    Returns:
        A mark for each pair.
    """
    if not pairs:
        return []
    marks = moocore.is_nondominated(np.asarray(pairs, float), maximise=_MAXIMISE, keep_weakly=True)
    return [bool(mark) for mark in marks]


def hypervolume(pairs: Sequence[Pair], reference: Pair) -> float:
    """The area of all that is no better than some pair, yet better than the reference.

    Args:
        pairs: in any order; one that is not better than the reference in both respects adds nothing.
        reference: metric and cost of the worst that counts.
    """
    if not pairs:
        return 0.0
    return float(moocore.hypervolume(np.asarray(pairs, float), ref=reference, maximise=_MAXIMISE))


@dataclass(frozen=True)
class MethodSummary:
    """A method's curve in a few numbers.

    Attributes:
        method: its label.
        points: how many it has.
        hypervolume: by cost, see `summarise`.
        best: by cost, the point of the greatest speed-up within the tolerance; None if there is none.
    """

    method: str
    points: int
    hypervolume: Mapping[Cost, float]
    best: Mapping[Cost, Point | None]


def fronts(comparison: Comparison) -> dict[Cost, frozenset[Point]]:
    """Finds the points that no other one beats, over all methods and the fine-tuned model together.

    Members are selected by their metric on dev; figures draw them at their evaluation values.

    Args:
        comparison: whose points to look through.

    Returns:
        By cost, the points on the Pareto front.
    """
    known = [point for point in comparison.points if math.isfinite(point.dev)]
    baseline = (comparison.baseline.dev, 1.0)
    rivals = [baseline] if math.isfinite(comparison.baseline.dev) else []
    result = {}
    for cost in COSTS:
        marks = non_dominated([*_dev_pairs(known, cost), *rivals])
        result[cost] = frozenset(point for point, mark in zip(known, marks, strict=False) if mark)
    return result


def summarise(comparison: Comparison, *, tolerance: float, margin: float) -> list[MethodSummary]:
    """Sums up each method's curve.

    The hypervolume is taken over metric and cost, the latter as a share of the fine-tuned model's. The
    reference is the fine-tuned model's metric less `margin`, at its cost, and the area is divided by
    `margin`: 0 is a method with nothing to offer, 1 would be the fine-tuned model's metric at no cost.
    Only points that no other point of the method beats on dev count, at their evaluation values.
    The best point is the fastest within the tolerance on dev, reported on the evaluation split.
    It does not depend on which other methods there are.

    Args:
        comparison: of all methods.
        tolerance: points of the metric that may be lost for speed.
        margin: points of the metric between the fine-tuned model and the reference.

    Returns:
        A summary for each method, in the order of the comparison's curves.
    """
    reference = (comparison.baseline.metric.mean - margin / 100, 1.0)
    return [
        MethodSummary(
            method,
            len(points),
            {cost: _gain(points, cost, reference) / (margin / 100) for cost in COSTS},
            {cost: _fastest(points, cost, tolerance / 100) for cost in COSTS},
        )
        for method, points in comparison.curves().items()
    ]


def _gain(points: Sequence[Point], cost: Cost, reference: Pair) -> float:
    """The hypervolume of the points that no other one beats on dev, at their evaluation values."""
    return hypervolume(_pairs(_own_front(points, cost), cost), reference)


def _pairs(points: Sequence[Point], cost: Cost) -> list[Pair]:
    return [(point.metric.mean, 1 / point.speedup[cost].mean) for point in points]


def _dev_pairs(points: Sequence[Point], cost: Cost) -> list[Pair]:
    return [(point.dev, 1 / point.speedup[cost].mean) for point in points]


def _own_front(points: Sequence[Point], cost: Cost) -> list[Point]:
    known = [point for point in points if math.isfinite(point.dev)]
    marks = non_dominated(_dev_pairs(known, cost))
    return [point for point, mark in zip(known, marks, strict=True) if mark]


def _fastest(points: Sequence[Point], cost: Cost, tolerance: float) -> Point | None:
    within = [point for point in points if point.dev_change >= -tolerance - _ROUNDING]
    return max(within, key=lambda point: (point.speedup[cost].mean, point.dev), default=None)
