"""Which of many runs represents a dataset: the fastest whose metric is near enough to the baseline's."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from powerbert.store.naming import without_display

Record = Mapping[str, Any]

_ROUNDING = 1e-9  # a loss of exactly the tolerance is within it


@dataclass(frozen=True)
class OperatingPoint:
    """One setting on one dataset, as the mean over its seeds.

    Attributes:
        records: equal but for their seed.
    """

    records: tuple[Record, ...]

    def mean(self, *path: str) -> float | None:
        """The mean of a field over the seeds; None if any of them does not know it.

        Args:
            path: keys that lead to a number, such as `"metric", "value"`.
        """
        return _mean([_get(record, path) for record in self.records])

    def speedup(self, protocol: Literal["padded", "dynamic"]) -> float | None:
        """How many times faster than the baseline, from the mean times of a protocol."""
        model, baseline = (self.mean("latency", protocol, name) for name in ("model_ms", "baseline_ms"))
        return baseline / model if model and baseline is not None else None

    @property
    def dev_metric(self) -> float | None:
        """The metric that a choice may look at: on dev, or the only one that the record has."""
        return _mean([_dev(record["metric"]) for record in self.records])

    @property
    def loss(self) -> float | None:
        """By how much the baseline is better on dev, as a fraction."""
        baseline, metric = _mean([_dev(record["baseline"]) for record in self.records]), self.dev_metric
        return None if baseline is None or metric is None else baseline - metric

    def within(self, tolerance: float) -> bool:
        """Whether the metric on dev is lower than the baseline's by at most `tolerance`, a fraction."""
        return self.loss is not None and self.loss <= tolerance + _ROUNDING


def operating_points(records: Sequence[Record]) -> list[OperatingPoint]:
    """Joins the records that differ in nothing but their seed.

    Args:
        records: of one dataset, model and method. Records of another knob, configuration or device
            are never averaged with one another.
    """
    settings: dict[str, list[Record]] = {}
    for record in records:
        settings.setdefault(_setting(record), []).append(record)
    return [OperatingPoint(tuple(group)) for group in settings.values()]


def choose(points: Sequence[OperatingPoint], tolerance: float) -> OperatingPoint:
    """The paper's choice of lambda (section 3.2): the largest speed-up within the tolerance on dev.

    Args:
        points: at least one.
        tolerance: how much of the metric may be lost, as a fraction (the paper: 0.01).

    Returns:
        The point of the largest speed-up under the padded protocol among those within the tolerance;
        if there are none, the one with the best metric on dev.
    """
    within = [point for point in points if point.within(tolerance)]
    if within:
        return max(within, key=lambda point: _known(point.speedup("padded")))
    return max(points, key=lambda point: _known(point.dev_metric))


def _setting(record: Record) -> str:
    """What two records share if they differ in their seed alone."""
    config = {key: value for key, value in without_display(record["config"]).items() if key != "seed"}
    shared = [record["knob"], record["max_length"], record["environment"].get("device"), config]
    return json.dumps(shared, sort_keys=True)


def _dev(metric: Mapping[str, Any]) -> float | None:
    value: float | None = metric["dev"] if "dev" in metric else metric["value"]
    return value


def _get(record: Record, path: Sequence[str]) -> Any:
    value: Any = record
    for key in path:
        value = value[key]
    return value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _known(value: float | None) -> float:
    return -math.inf if value is None else value
