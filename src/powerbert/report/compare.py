"""From records to curves: the points of all methods under the same conditions, and their summaries."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from powerbert.base.errors import ConfigError, DataError
from powerbert.report.frame import CONDITIONS, COSTS, FIELDS, PROTOCOLS, metric_label, tabulate
from powerbert.report.points import average, choose_trial, fastest, hypervolume, non_dominated, over_seeds
from powerbert.store.naming import CLS_ALONE, METHODS, Record, packaged_display

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """The curves of all methods under the same conditions.

    Attributes:
        conditions: By `frame.CONDITIONS`; `model` is the one that was fine-tuned densely.
        baseline: The fine-tuned model: `metric` and `metric_standard_error` on the evaluation split, `dev`
            (NaN if unknown), `seeds`, and by cost its mean over all runs.
        points: Method by method, each from its most to its least expensive in FLOPs: the columns of
            `points.average`, and by cost

            - `<cost>`, where the point is drawn: the fine-tuned model's cost divided by the mean speed-up.
              Each run times both models in turn, so other work of the machine disturbs their ratio less than
              it disturbs milliseconds of different hours;
            - `<cost>_standard_error`, to first order that of the speed-up; NaN for a single seed;
            - `baseline`, `<cost>_baseline`: the fine-tuned model's metric and cost;
            - `<cost>_front`: whether neither another point nor the fine-tuned model beats the point on dev;
            - `<cost>_disturbed`: whether other processes are known to have disturbed the timing.
        summary: A row per method, in the order of the curves: conditions, `method`, `points` (their number),
            `hypervolume_<cost>`, and of the best point within the tolerance `speedup_<cost>`, `knob_<cost>`,
            `change_<cost>` and `disturbed_<cost>`, NaN or None if there is none.
        notes: What a reader should know about these records, a sentence each.
    """

    conditions: Mapping[str, Any]
    baseline: Mapping[str, Any]
    points: pd.DataFrame
    summary: pd.DataFrame
    notes: Sequence[str]

    @property
    def metric_name(self) -> str:
        """The metric as people write it."""
        return metric_label(self.conditions["metric_name"])

    @property
    def title(self) -> str:
        """Dataset and model."""
        return f"{self.conditions['dataset']}, {self.conditions['model']}"

    @property
    def is_disturbed(self) -> bool:
        """Whether the timing of any point was disturbed."""
        return any(self.points[f"{protocol}_disturbed"].eq(True).any() for protocol in PROTOCOLS)

    @property
    def cls_alone(self) -> str:
        """Say which methods have [CLS] alone in the last encoder."""
        alone = dict.fromkeys(self.points["method"][self.points["cls_alone"]])
        which = "; ".join(method.removesuffix(CLS_ALONE) for method in alone)
        which = "all methods" if self.points["cls_alone"].all() else which or "none"
        return f"[CLS] alone in the last encoder: {which}"

    def axis(self, cost: str) -> str:
        """Describe a cost with its unit."""
        conditions = self.conditions
        if cost == "padded":
            return f"ms per batch of {conditions['padded_batch_size']}, padded to {conditions['max_length']}"
        if cost == "dynamic":
            return f"ms per batch of {conditions['dynamic_batch_size']}, dynamic padding"
        return f"FLOPs per input of {conditions['max_length']} word pieces"

    def curves(self) -> dict[str, pd.DataFrame]:
        """Return the points by method, the paper's methods first."""
        return dict(list(self.points.groupby("method", sort=False)))


def compare(records: Iterable[Record], *, tolerance: float = 1.0, margin: float = 10.0) -> list[Comparison]:
    """Join records to points, and points to curves.

    Records of one method and knob that differ in hyper-parameters are trials, of which one setting counts,
    see `points.choose_trial`. Records whose metric or cost is not defined are left out, with a note.

    Args:
        records: Valid ones, in any order.
        tolerance: Points of the metric that may be lost for speed.
        margin: Points of the metric between the fine-tuned model and the reference of the hypervolume.

    Returns:
        A comparison for each set of `frame.CONDITIONS`, ordered by them.

    Raises:
        DataError: if no record can be compared.
        ConfigError: naming the setting of the report that is invalid.
    """
    if tolerance < 0:
        raise ConfigError(f"report.tolerance: {tolerance!r} must be points of the metric, at least 0")
    if margin <= 0:
        raise ConfigError(f"report.margin: {margin!r} must be points of the metric, above 0")
    runs = tabulate(records)
    if runs.empty:
        raise DataError("records: there are none to compare; give a folder that holds records")
    runs["model"] = _dense_models(runs)
    comparisons, empty = [], []
    for values, group in runs.groupby(list(CONDITIONS)):
        conditions = dict(zip(CONDITIONS, values, strict=True))
        defined, notes = _defined(group)
        if defined.empty:
            empty.append(f"{conditions['dataset']}, {conditions['model']}: {notes[0]}")
            continue
        trials = [choose_trial(same) for _, same in defined.groupby(["method", "knob"], sort=False)]
        baseline = _baseline(defined, pd.concat(trials))
        points = _points(trials, baseline)
        summary = _summarise(points, baseline, tolerance / 100, margin / 100)
        notes += _remarks(defined, baseline, points)
        comparisons.append(Comparison(conditions, baseline, points, summary, notes))
    if not comparisons:
        raise DataError(f"records: none can be compared. {'; '.join(empty)}")
    for message in empty:
        log.warning("%s", message)
    return comparisons


def _pairs(points: pd.DataFrame, metric: str, cost: str) -> np.ndarray:
    """Pair each point's metric with its cost as a share of the fine-tuned model's."""
    return np.column_stack([points[metric], 1 / points[f"{cost}_speedup"]])


def _dense_models(runs: pd.DataFrame) -> pd.Series:
    """Name the model behind each run's fine-tuned artifact, as the runs with the shortest chain call it.

    A run on a distilled model may go by another name, but is compared with the same artifact.
    """
    by_chain = runs.dropna(subset="artifact").sort_values("stages", ascending=False, kind="stable")
    owners = by_chain.drop_duplicates("artifact", keep="last").set_index("artifact")["model"]
    return runs["artifact"].map(owners.to_dict()).fillna(runs["model"])


def _defined(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keep the runs that can be drawn, and note each number that others lack; costs are above 0."""
    numbers = runs[list(FIELDS)]
    least = [-math.inf if name in ("metric", "baseline") else 0 for name in FIELDS]
    defined = numbers.gt(least) & numbers.lt(math.inf)
    whole = defined.all(axis=1)
    lacking = defined[~whole].idxmin(axis=1)
    notes = []
    for name, group in runs[~whole].groupby(lacking, sort=False):
        labels = [f"{run.method}, {run.knob}, seed {run.seed}" for run in group.itertuples()]
        count = "1 record is" if len(labels) == 1 else f"{len(labels)} records are"
        notes.append(f"{count} left out, for {'.'.join(FIELDS[name])} is not defined: {_some(labels)}")
    return runs[whole], notes


def _baseline(runs: pd.DataFrame, shown: pd.DataFrame) -> dict[str, Any]:
    """Average the fine-tuned models of the runs shown, each counted once; the cost is that of all runs."""
    artifacts = shown["artifact"].fillna(shown["baseline"].astype(str))
    models = average(shown.assign(artifact=artifacts).drop_duplicates(["seed", "artifact"], keep="last"))
    return {
        "metric": models["baseline"],
        "metric_standard_error": models["baseline_standard_error"],
        "dev": fmean(over_seeds(shown)["dev_baseline"]),
        "seeds": models["seeds"],
        **{cost: fmean(runs[f"{cost}_baseline"]) for cost in COSTS},
    }


def _points(trials: Iterable[pd.DataFrame], baseline: Mapping[str, Any]) -> pd.DataFrame:
    order = {packaged_display(name).label: place for place, name in enumerate(METHODS)}
    rows = [average(runs) for runs in trials]
    rows.sort(
        key=lambda p: (
            order.get(p["method"].removesuffix(CLS_ALONE), len(order)),
            p["method"],
            p["flops_speedup"],
            p["knob"],
        )
    )
    points = pd.DataFrame(rows).assign(
        baseline=baseline["metric"],
        baseline_standard_error=baseline["metric_standard_error"],
        flops_disturbed=False,
    )
    for cost in COSTS:
        speedup, error = points[f"{cost}_speedup"], points[f"{cost}_speedup_standard_error"]
        points[cost] = baseline[cost] / speedup
        points[f"{cost}_standard_error"] = points[cost] * error / speedup
        points[f"{cost}_baseline"] = baseline[cost]
        rivals = [*_pairs(points, "dev", cost), (baseline["dev"], 1.0)]
        points[f"{cost}_front"] = non_dominated(rivals)[:-1]
    return points


def _summarise(
    points: pd.DataFrame, baseline: Mapping[str, Any], tolerance: float, margin: float
) -> pd.DataFrame:
    """Sum up the curve of each method; `tolerance` and `margin` are fractions.

    The hypervolume is taken over the metric and the cost as a share of the fine-tuned model's. The reference
    is the fine-tuned model's metric less `margin`, at its cost, and the area is divided by `margin`: 0 is a
    method that gains nothing, 1 would be the fine-tuned model's metric at no cost. Only points that no other
    point of the method beats on dev count, at their evaluation values. The best point is the fastest within
    the tolerance on dev. Neither depends on which other methods there are.
    """
    reference = (baseline["metric"] - margin, 1.0)
    rows = []
    for method, own in points.groupby("method", sort=False):
        row = {**own[list(CONDITIONS)].iloc[0], "method": method, "points": len(own)}
        for cost in COSTS:
            front = own[non_dominated(_pairs(own, "dev", cost))]
            row[f"hypervolume_{cost}"] = hypervolume(_pairs(front, "metric", cost), reference) / margin
        for cost in COSTS:
            best = fastest(own, cost, tolerance)
            row[f"speedup_{cost}"] = math.nan if best is None else best[f"{cost}_speedup"]
            row[f"knob_{cost}"] = None if best is None else best["knob"]
            row[f"change_{cost}"] = math.nan if best is None else best["change"]
            row[f"disturbed_{cost}"] = None if best is None else best[f"{cost}_disturbed"]
        rows.append(row)
    return pd.DataFrame(rows)


def _remarks(runs: pd.DataFrame, baseline: Mapping[str, Any], points: pd.DataFrame) -> list[str]:
    """Note what keeps the points from being compared as if all had been found at once."""
    notes = []
    if runs["on_evaluation"].any():
        notes.append("dev is also the evaluation split, so the choice is optimistic")
    if points["dev_change"].isna().any():
        notes.append("points without a metric on dev are never chosen as the best")
    partial = [
        f"{point.method}, {point.knob}" for point in points.itertuples() if point.seeds != baseline["seeds"]
    ]
    if partial:
        seeds = ", ".join(map(str, baseline["seeds"]))
        notes.append(f"the fine-tuned model has the seeds {seeds}; not all of them: {_some(partial)}")
    for key, name in (("cpu", "processors"), ("threads", "numbers of threads"), ("torch", "torch versions")):
        values = sorted({str(record["environment"].get(key, "unknown")) for record in runs["record"]})
        if len(values) > 1:
            notes.append(f"the runs were timed with different {name}: {', '.join(values)}")
    return notes


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "; ".join(names[:3]) + more
