"""From records to curves: what each method reaches at each knob setting, as a mean over seeds.

Figures, tables and pages are drawn from these data.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple

from powerbert.base.errors import DataError
from powerbert.report.points import (
    PROTOCOLS,
    Protocol,
    Spread,
    Trial,
    by_seed,
    choose_trial,
    chosen_on_evaluation,
    disturbed,
    on_dev,
    over_seeds,
)
from powerbert.store.naming import (
    METHODS,
    METRIC_NAMES,
    Record,
    knob_label,
    method_label,
    packaged_display,
)

Cost = Literal["padded", "dynamic", "flops"]
COSTS: tuple[Cost, ...] = ("padded", "dynamic", "flops")
"""What a model's metric is set against: its latency under either protocol, and its FLOPs."""

_FIELDS: Mapping[Cost, tuple[str, ...]] = {
    "padded": ("latency", "padded", "model_ms", "baseline_ms", "speedup"),
    "dynamic": ("latency", "dynamic", "model_ms", "baseline_ms", "speedup"),
    "flops": ("flops", "model", "baseline", "ratio"),
}
"""Where a record keeps a cost: the path, and there the model's, the baseline's and how many times less."""

log = logging.getLogger(__name__)


class Conditions(NamedTuple):
    """What runs must share to be drawn into one plot; `model` is the one that was fine-tuned densely."""

    dataset: str
    model: str
    metric: str
    split: str
    max_length: int
    device: str
    padded_batch_size: int
    dynamic_batch_size: int


@dataclass(frozen=True)
class Baseline:
    """The fine-tuned model that everything is compared with.

    Attributes:
        metric: over the seeds, on the evaluation split.
        dev: the mean metric on dev; minus infinity if it is unknown.
        cost: milliseconds a batch under each protocol and FLOPs an input, the mean over all runs.
        seeds: of the fine-tuned models, ascending.
    """

    metric: Spread
    dev: float
    cost: Mapping[Cost, float]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Point:
    """A method at one knob setting. Points are compared, and looked up, as the objects that they are.

    Attributes:
        method: its label, see `naming.method_label`.
        knob: its label, see `naming.knob_label`.
        metric: over the seeds, on the evaluation split.
        change: of the metric against the fine-tuned models of the same seeds, the mean; negative for a loss.
        dev: the mean metric on dev, by which points are chosen; minus infinity if it is unknown.
        dev_change: of the metric on dev, as `change`; minus infinity if it is unknown.
        speedup: how many times faster than the baseline, or for FLOPs how many times fewer.
        cost: where the point is drawn: the baseline's cost divided by the mean speed-up, in its unit.
            Each run times its model and the baseline in turn, so their ratio is not disturbed by what
            else the machine does at that hour, as milliseconds of different hours are.
        measured: milliseconds a batch and FLOPs an input as the runs found them.
        disturbed: by protocol, whether other processes disturbed the timing of a run; None if unknown.
        epochs: of training in all stages, those of earlier methods included; None if a record is silent.
        trials: settings of the hyper-parameters among which this one was chosen.
        setting: the hyper-parameters chosen, see `points.HYPER_PARAMETERS`.
        records: of that setting, ordered by seed.
    """

    method: str
    knob: str
    metric: Spread
    change: float
    dev: float
    dev_change: float
    speedup: Mapping[Cost, Spread]
    cost: Mapping[Cost, float]
    measured: Mapping[Cost, Spread]
    disturbed: Mapping[Protocol, bool | None]
    epochs: float | None
    trials: int
    setting: Mapping[str, Any] = field(repr=False)
    records: tuple[Record, ...] = field(repr=False)

    def is_disturbed(self, cost: Cost) -> bool:
        """Return whether the cost is a time that other processes are known to have disturbed."""
        return cost != "flops" and self.disturbed[cost] is True

    @property
    def label(self) -> str:
        """Method and knob."""
        return f"{self.method}, {self.knob}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Ascending, each once."""
        return tuple(sorted({record["seed"] for record in self.records}))


@dataclass(frozen=True)
class Comparison:
    """The curves of all methods under the same conditions.

    Attributes:
        conditions: that all runs share.
        baseline: the fine-tuned model.
        points: method by method, each from its most to its least expensive in FLOPs.
        notes: what a reader should know about these records, a sentence each.
    """

    conditions: Conditions
    baseline: Baseline
    points: tuple[Point, ...]
    notes: tuple[str, ...]

    @property
    def metric_name(self) -> str:
        """The metric as people write it."""
        return METRIC_NAMES.get(self.conditions.metric, self.conditions.metric)

    @property
    def title(self) -> str:
        """Dataset and model."""
        return f"{self.conditions.dataset}, {self.conditions.model}"

    @property
    def is_disturbed(self) -> bool:
        """Whether the timing of any point was disturbed."""
        return any(point.is_disturbed(cost) for point in self.points for cost in COSTS)

    def axis(self, cost: Cost) -> str:
        """What `Point.cost` is, in words with its unit."""
        conditions = self.conditions
        if cost == "padded":
            return f"ms per batch of {conditions.padded_batch_size}, padded to {conditions.max_length}"
        if cost == "dynamic":
            return f"ms per batch of {conditions.dynamic_batch_size}, dynamic padding"
        return f"FLOPs per input of {conditions.max_length} word pieces"

    def curves(self) -> dict[str, list[Point]]:
        """The points by method, the paper's methods first."""
        curves: dict[str, list[Point]] = {}
        for point in self.points:
            curves.setdefault(point.method, []).append(point)
        return curves


def compare(records: Iterable[Record]) -> list[Comparison]:
    """Joins records to points and points to curves.

    Records of one method and knob setting that differ in hyper-parameters are trials, of which one setting
    counts, see `points.choose_trial`. Records whose metric or cost is not defined are left out, with a note.

    Args:
        records: valid ones, in any order.

    Returns:
        One comparison for each data set, model and further conditions, ordered by them.

    Raises:
        DataError: if no record can be compared.
    """
    records = list(records)
    if not records:
        raise DataError("records: there are none to compare; give a folder that holds records")
    owners = _owners(records)
    groups: dict[Conditions, list[Record]] = {}
    for record in records:
        groups.setdefault(_conditions(record, owners), []).append(record)
    comparisons, empty = [], []
    for conditions in sorted(groups):
        whole, notes = _defined(groups[conditions])
        if whole:
            comparisons.append(_comparison(conditions, whole, notes))
        else:
            empty.append(f"{conditions.dataset}, {conditions.model}: {notes[0]}")
    if not comparisons:
        raise DataError(f"records: none can be compared. {'; '.join(empty)}")
    for message in empty:
        log.warning("%s", message)
    return comparisons


def _owners(records: Sequence[Record]) -> dict[str, str]:
    """The model behind each fine-tuned artifact, from the runs that started from the model itself.

    A run on a distilled model may go by another name, but is compared with the same artifact.
    """
    owners: dict[str, str] = {}
    for record in sorted(records, key=lambda record: len(record.get("chain") or []), reverse=True):
        artifact = record["baseline"].get("artifact")
        if artifact is not None:
            owners[artifact] = record["model"]
    return owners


def _conditions(record: Record, owners: Mapping[str, str]) -> Conditions:
    metric, latency = record["metric"], record["latency"]
    return Conditions(
        record["dataset"],
        owners.get(record["baseline"].get("artifact"), record["model"]),
        metric["name"],
        metric.get("split") or "evaluation",
        record["max_length"],
        record["environment"].get("device") or "unknown device",
        latency["padded"]["batch_size"],
        latency["dynamic"]["batch_size"],
    )


def _defined(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The records that can be drawn, and a note for each field that others lack."""
    whole: list[Record] = []
    lacking: dict[str, list[str]] = {}
    for record in records:
        missing = _undefined(record)
        if missing is None:
            whole.append(record)
        else:
            name = f"{method_label(record)}, {knob_label(record)}, seed {record['seed']}"
            lacking.setdefault(missing, []).append(name)
    notes = []
    for missing, names in lacking.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        count = "1 record is" if len(names) == 1 else f"{len(names)} records are"
        notes.append(f"{count} left out, for {missing} is not defined: {'; '.join(names[:3])}{more}")
    return whole, notes


def _undefined(record: Record) -> str | None:
    """The first number missing of those that a point needs."""
    for name in ("metric", "baseline"):
        value = record[name]["value"]
        if value is None or not math.isfinite(value):
            return f"{name}.value"
    for cost, (*path, model, baseline, ratio) in _FIELDS.items():
        for name in (model, baseline, ratio):
            value = _cost(record, cost)[name]
            if value is None or not math.isfinite(value) or value <= 0:
                return ".".join([*path, name])
    return None


def _cost(record: Record, cost: Cost) -> Mapping[str, Any]:
    values: Mapping[str, Any] = record["flops"] if cost == "flops" else record["latency"][cost]
    return values


def _comparison(conditions: Conditions, records: Sequence[Record], notes: Sequence[str]) -> Comparison:
    settings: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        settings.setdefault((method_label(record), knob_label(record)), []).append(record)
    chosen = {labels: choose_trial(trials) for labels, trials in settings.items()}
    baseline = _baseline(records, [record for trial in chosen.values() for record in trial.records])
    points = [_point(*labels, trial, baseline) for labels, trial in chosen.items()]
    order = {packaged_display(name).label: number for number, name in enumerate(METHODS)}
    points.sort(key=lambda p: (order.get(p.method, len(order)), p.method, -p.cost["flops"], p.knob))
    return Comparison(conditions, baseline, tuple(points), (*notes, *_remarks(records, baseline, points)))


def _baseline(records: Sequence[Record], shown: Sequence[Record]) -> Baseline:
    """Its metric from the runs that are shown, each fine-tuned model once; its cost from all runs."""
    models: dict[tuple[int, Any], float] = {}
    for record in shown:
        value = record["baseline"]["value"]
        models[record["seed"], record["baseline"].get("artifact") or value] = value
    return Baseline(
        metric=over_seeds((seed, value) for (seed, _), value in models.items()),
        dev=_mean_dev(shown, "baseline"),
        cost={
            cost: fmean(_cost(record, cost)[fields[-2]] for record in records)
            for cost, fields in _FIELDS.items()
        },
        seeds=tuple(sorted({seed for seed, _ in models})),
    )


def _point(method: str, knob: str, trial: Trial, baseline: Baseline) -> Point:
    def spread(cost: Cost, name: str) -> Spread:
        return over_seeds((record["seed"], _cost(record, cost)[name]) for record in trial.records)

    metric = over_seeds((record["seed"], record["metric"]["value"]) for record in trial.records)
    own_baselines = over_seeds((record["seed"], record["baseline"]["value"]) for record in trial.records)
    dev = _mean_dev(trial.records, "metric")
    dev_baseline = _mean_dev(trial.records, "baseline")
    speedup = {cost: spread(cost, fields[-1]) for cost, fields in _FIELDS.items()}
    epochs = [_epochs(record) for record in trial.records]
    return Point(
        method=method,
        knob=knob,
        metric=metric,
        change=metric.mean - own_baselines.mean,
        dev=dev,
        dev_change=dev - dev_baseline if math.isfinite(dev_baseline) else -math.inf,
        speedup=speedup,
        cost={cost: baseline.cost[cost] / speedup[cost].mean for cost in COSTS},
        measured={cost: spread(cost, fields[-3]) for cost, fields in _FIELDS.items()},
        disturbed={protocol: disturbed(trial.records, protocol) for protocol in PROTOCOLS},
        epochs=None if None in epochs else fmean(count for count in epochs if count is not None),
        trials=trial.trials,
        setting=trial.setting,
        records=trial.records,
    )


def _mean_dev(records: Sequence[Record], field_name: Literal["metric", "baseline"]) -> float:
    """The mean over seeds on dev of `metric` or `baseline`; minus infinity if a record does not state it."""
    values = []
    for record in records:
        value = on_dev(record, field_name)
        if value is None:
            return -math.inf
        values.append((record["seed"], value))
    return fmean(by_seed(values))


def _epochs(record: Record) -> float | None:
    chain = record.get("chain")
    stages = [entry.get("epochs") for entry in chain] if chain else [*record.get("epochs", {}).values()]
    known = [count for count in stages if isinstance(count, int | float)]
    return sum(known) if known and len(known) == len(stages) else None


def _remarks(records: Sequence[Record], baseline: Baseline, points: Sequence[Point]) -> list[str]:
    """What keeps the points from being compared as if all had been found at once."""
    notes = []
    if any(map(chosen_on_evaluation, records)):
        notes.append("dev is also the evaluation split, so the choice is optimistic")
    if any(not math.isfinite(point.dev_change) for point in points):
        notes.append("points without a metric on dev are never chosen as the best")
    partial = [point.label for point in points if point.seeds != baseline.seeds]
    if partial:
        seeds = ", ".join(map(str, baseline.seeds))
        more = f" and {len(partial) - 3} more" if len(partial) > 3 else ""
        notes.append(
            f"the fine-tuned model has the seeds {seeds}; not all of them: {'; '.join(partial[:3])}{more}"
        )
    for key, name in (("cpu", "processors"), ("threads", "numbers of threads"), ("torch", "torch versions")):
        values = sorted({str(record["environment"].get(key, "unknown")) for record in records})
        if len(values) > 1:
            notes.append(f"the runs were timed with different {name}: {', '.join(values)}")
    return notes
