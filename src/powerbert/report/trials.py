"""Which of several settings of the hyper-parameters stands for a point."""

import json
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from powerbert.report.spread import by_seed
from powerbert.store.facts import HYPER_PARAMETERS
from powerbert.store.naming import Record, without_display


class Trial(NamedTuple):
    """The chosen setting.

    Attributes:
        setting: the hyper-parameters.
        records: that have it, ordered by seed.
        trials: among how many settings it was chosen.
    """

    setting: Mapping[str, Any]
    records: tuple[Record, ...]
    trials: int


def choose_trial(records: Sequence[Record]) -> Trial:
    """Chooses by the mean metric on dev.

    The settings are compared over the seeds that all of them have, if there are any: a setting that was
    tuned on one seed and then run on more is not put at a disadvantage by a harder seed.

    Args:
        records: of one method and knob setting, at least one.

    Returns:
        The best setting (of equally good ones the first in the order of their JSON), and the number of
        settings that there are, or that the records themselves state if that is more.
    """
    settings: dict[str, list[Record]] = {}
    for record in records:
        settings.setdefault(json.dumps(_setting(record), sort_keys=True), []).append(record)
    shared = set.intersection(*({record["seed"] for record in group} for group in settings.values()))

    def dev(setting: str) -> float:
        return fmean(
            by_seed(
                (record["seed"], _dev(record))
                for record in settings[setting]
                if not shared or record["seed"] in shared
            )
        )

    best = settings[max(sorted(settings), key=dev)]
    stated = max(record.get("trials") or 1 for record in records)
    return Trial(
        _setting(best[0]),
        tuple(sorted(best, key=lambda record: record["seed"])),
        max(len(settings), stated),
    )


def _setting(record: Record) -> dict[str, Any]:
    config = without_display(record["config"])
    return {key: config[key] for key in HYPER_PARAMETERS if key in config}


def _dev(record: Record) -> float:
    """The metric that a choice may look at; a record without one on dev was evaluated on it."""
    metric = record["metric"]
    value = metric.get("dev", metric["value"])
    return -math.inf if value is None else value
