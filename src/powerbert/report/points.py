"""Runs that differ in their seed alone: which of them stand for a point, their means, and the best point."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from powerbert.store.facts import HYPER_PARAMETERS
from powerbert.store.naming import without_display

Record = Mapping[str, Any]

Protocol = Literal["padded", "dynamic"]
PROTOCOLS: tuple[Protocol, ...] = ("padded", "dynamic")
"""Under which latency is measured."""

_ROUNDING = 1e-9  # a loss of exactly the tolerance is within it


@dataclass(frozen=True)
class Spread:
    """A quantity over seeds.

    Attributes:
        error: the standard error of the mean; None for a single seed.
    """

    mean: float
    error: float | None


def over_seeds(values: Iterable[tuple[int, float]]) -> Spread:
    """Return mean and standard error of at least one pair of a seed and a finite value."""
    means = by_seed(values)
    error = stdev(means) / math.sqrt(len(means)) if len(means) > 1 else None
    return Spread(fmean(means), error)


def by_seed(values: Iterable[tuple[int, float]]) -> list[float]:
    """Return the mean of each seed's values: each seed counts once however many values it has."""
    seeds: dict[int, list[float]] = {}
    for seed, value in values:
        seeds.setdefault(seed, []).append(value)
    return [fmean(group) for group in seeds.values()]


def on_dev(record: Record, field: Literal["metric", "baseline"] = "metric") -> float | None:
    """Return the value on dev, by which everything is chosen; None if it is unknown.

    If the record has no metric on dev, the value on its evaluation split takes the place.
    """
    value: float | None = record[field].get("dev") if "dev" in record["metric"] else record[field]["value"]
    return value


def chosen_on_evaluation(record: Record) -> bool:
    """Return whether the split that a choice looks at is also the one that is reported."""
    return record["metric"].get("split") == "dev" or "dev" not in record["metric"]


def disturbed(records: Iterable[Record], protocol: Protocol) -> bool | None:
    """Return whether other processes disturbed the timing of any record; None if that is unknown."""
    marks = [record["latency"][protocol].get("disturbed") for record in records]
    return True if True in marks else None if None in marks else False


class Trial(NamedTuple):
    """The setting of the hyper-parameters that stands for a point.

    Attributes:
        records: those of the setting, ordered by seed.
        trials: number of settings among which it was chosen.
    """

    setting: Mapping[str, Any]
    records: tuple[Record, ...]
    trials: int


def choose_trial(records: Sequence[Record]) -> Trial:
    """Choose the setting with the best mean metric on dev.

    The settings are compared over the seeds that all of them have, if there are any: a setting that was
    tuned on one seed and then run on more is not put at a disadvantage by a harder seed. Of equally good
    settings the first in the order of their JSON is taken.

    Args:
        records: of one method and knob setting, at least one; they may state a number of `trials`.
    """
    settings: dict[str, list[Record]] = {}
    for record in records:
        settings.setdefault(json.dumps(_hyper_parameters(record), sort_keys=True), []).append(record)
    shared = set.intersection(*({record["seed"] for record in group} for group in settings.values()))

    def dev(setting: str) -> float:
        group = [record for record in settings[setting] if not shared or record["seed"] in shared]
        return fmean(by_seed((record["seed"], _known(on_dev(record))) for record in group))

    best = settings[max(sorted(settings), key=dev)]
    stated = max(record.get("trials") or 1 for record in records)
    return Trial(
        _hyper_parameters(best[0]),
        tuple(sorted(best, key=lambda record: record["seed"])),
        max(len(settings), stated),
    )


@dataclass(frozen=True)
class OperatingPoint:
    """One setting on one dataset: the mean over records that are equal but for their seed."""

    records: tuple[Record, ...]

    def mean(self, *path: str) -> float | None:
        """Return the mean of a number at these keys; None if a record does not have it."""
        values = []
        for record in self.records:
            value: Any = record
            for key in path:
                value = value[key]
            values.append(value)
        return _mean(values)

    def speedup(self, protocol: Protocol) -> float | None:
        """Return how many times faster than the baseline, the mean of the runs' own ratios."""
        return self.mean("latency", protocol, "speedup")

    @property
    def dev_metric(self) -> float | None:
        """The metric that a choice looks at."""
        return _mean([on_dev(record) for record in self.records])

    def within(self, tolerance: float) -> bool:
        """Return whether the metric on dev is at most `tolerance`, a fraction, below the baseline's."""
        baseline, metric = _mean([on_dev(record, "baseline") for record in self.records]), self.dev_metric
        return baseline is not None and metric is not None and baseline - metric <= tolerance + _ROUNDING


def operating_points(records: Sequence[Record]) -> list[OperatingPoint]:
    """Join the records that differ in nothing but their seed.

    Args:
        records: of one dataset, model and method. Records of another knob, configuration or device
            are never averaged with one another.
    """
    settings: dict[str, list[Record]] = {}
    for record in records:
        config = {key: value for key, value in without_display(record["config"]).items() if key != "seed"}
        shared = [record["knob"], record["max_length"], record["environment"].get("device"), config]
        settings.setdefault(json.dumps(shared, sort_keys=True), []).append(record)
    return [OperatingPoint(tuple(group)) for group in settings.values()]


def choose(points: Sequence[OperatingPoint], tolerance: float) -> OperatingPoint:
    """Choose as the paper chooses lambda (section 3.2): the largest speed-up within the tolerance on dev.

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


def _hyper_parameters(record: Record) -> dict[str, Any]:
    config = without_display(record["config"])
    return {key: config[key] for key in HYPER_PARAMETERS if key in config}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _known(value: float | None) -> float:
    return -math.inf if value is None else value
