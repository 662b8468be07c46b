"""Points of the trade-off: means over runs that differ in their seed, and which points are worth having."""

import math
from statistics import fmean, stdev
from typing import Any

import moocore
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from powerbert.report.frame import LABELS, NUMBERS, PROTOCOLS

_MAXIMISE = (True, False)  # of a pair of metric and cost
_ROUNDING = 1e-9  # a loss of exactly the tolerance is within it


def average(runs: pd.DataFrame) -> dict[str, Any]:
    """Average runs that differ in their seed alone; a seed counts once however many runs it has.

    Args:
        runs: Rows of `frame.tabulate`, at least one.

    Returns:
        - `LABELS` of the first run;
        - the mean of each column of `NUMBERS`, NaN if a run does not state the number, and its standard
          error `<column>_standard_error`, NaN for a single seed;
        - `change`, `dev_change`: the metric's mean minus that of the fine-tuned models of the same seeds;
        - `<protocol>_disturbed`: True if any timing was disturbed, None if that is unknown;
        - `on_evaluation`, `epochs`, `trials`, `seeds` (ascending) and `records`.
    """
    means = over_seeds(runs)
    numbers = dict(zip(NUMBERS, means.to_numpy().T.tolist(), strict=True))
    values: dict[str, Any] = runs.iloc[0][[*LABELS]].to_dict()
    values |= {name: fmean(column) for name, column in numbers.items()}
    values |= {f"{name}_standard_error": _standard_error(column) for name, column in numbers.items()}
    for protocol in PROTOCOLS:
        marks = list(runs[f"{protocol}_disturbed"])
        values[f"{protocol}_disturbed"] = True if True in marks else None if None in marks else False
    return values | {
        "change": values["metric"] - values["baseline"],
        "dev_change": values["dev"] - values["dev_baseline"],
        "epochs": fmean(runs["epochs"]),
        "on_evaluation": runs["on_evaluation"].any(),
        "trials": runs["trials"].max(),
        "seeds": tuple(means.index),
        "records": list(runs["record"]),
    }


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the `NUMBERS` of each seed's runs; the index holds the seeds, ascending."""
    numbers, seeds = runs[[*NUMBERS]].to_numpy(float), runs["seed"].to_numpy()
    index = sorted(set(seeds.tolist()))
    means = [[fmean(column) for column in numbers[seeds == seed].T] for seed in index]
    return pd.DataFrame(means, index, NUMBERS)


def choose_trial(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the hyper-parameters with the best mean metric on dev, ordered by seed.

    Settings are compared over the seeds that all of them have, if there are any: a setting that was tuned on
    one seed and then run on more is not put at a disadvantage by a harder seed. Of equally good settings the
    first in the order of their JSON is taken.

    Args:
        runs: Of one method and knob.

    Returns:
        Rows of `runs`; `trials` is the number of settings tried, that of `runs` or a greater one stated.
    """
    settings = dict(list(runs.groupby("setting")))
    shared = set.intersection(*(set(group["seed"]) for group in settings.values()))

    def dev(setting: str) -> float:
        group = settings[setting]
        value = fmean(over_seeds(group[group["seed"].isin(shared)] if shared else group)["dev"])
        return -math.inf if math.isnan(value) else value

    best = settings[max(settings, key=dev) if len(settings) > 1 else runs["setting"].iloc[0]]
    best = best.sort_values("seed", kind="stable")
    return best.assign(trials=max(len(settings), runs["trials"].max()))


def fastest(points: pd.DataFrame, cost: str, tolerance: float) -> pd.Series | None:
    """Choose as the paper chooses lambda (section 3.2): the greatest speed-up within a loss on dev.

    Args:
        points: With the columns of `average`.
        cost: By which to measure the speed-up; of equally fast points the better one on dev is taken.
        tolerance: How much of the metric may be lost, as a fraction (the paper: 0.01).

    Returns:
        The point, None if no point is within the tolerance.
    """
    within = points[points["dev_change"] >= -tolerance - _ROUNDING]
    ranked = within.sort_values([f"{cost}_speedup", "dev"], ascending=False)
    return None if ranked.empty else ranked.iloc[0]


def non_dominated(pairs: ArrayLike) -> np.ndarray:
    """Mark the pairs that no other pair beats.

    A pair is beaten by one that is at least as good in both respects and better in one; equal pairs do not
    beat each other.

    Args:
        pairs: (count, 2), metric (more is better) and cost (less is better); a metric may be NaN.

    Returns:
        (count,), bool; False for a pair whose metric is NaN.
    """
    pairs = _pairs(pairs)
    marks = ~np.isnan(pairs[:, 0])
    marks[marks] = moocore.is_nondominated(pairs[marks], maximise=_MAXIMISE, keep_weakly=True)
    return marks


def hypervolume(pairs: ArrayLike, reference: tuple[float, float]) -> float:
    """Return the area of all that is no better than some pair, yet better than the reference.

    Args:
        pairs: (count, 2), as for `non_dominated`; a pair that is not better than the reference in both
            respects adds nothing.
        reference: Metric and cost of the worst that counts.
    """
    return float(moocore.hypervolume(_pairs(pairs), ref=reference, maximise=_MAXIMISE))


def _standard_error(means: list[float]) -> float:
    return stdev(means) / math.sqrt(len(means)) if len(means) > 1 and math.isfinite(sum(means)) else math.nan


def _pairs(pairs: ArrayLike) -> np.ndarray:
    return np.asarray(pairs, float).reshape(-1, 2)
