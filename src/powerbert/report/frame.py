"""The records as one table: a row per record, a column per value that a report uses."""

import json
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from powerbert.store.facts import HYPER_PARAMETERS
from powerbert.store.naming import METRIC_NAMES, Record, distinguishing, knob_label, method_label

PROTOCOLS = ("padded", "dynamic")
COSTS = (*PROTOCOLS, "flops")
"""What a metric is set against: latency under either protocol, in ms per batch, and FLOPs per input."""

COST_NAMES = {"padded": "padded", "dynamic": "dynamic", "flops": "FLOPs"}

CONDITIONS = (
    "dataset",
    "model",
    "metric_name",
    "split",
    "max_length",
    "device",
    "padded_batch_size",
    "dynamic_batch_size",
)
"""Columns in which runs must agree to be compared in one plot."""

LABELS = (*CONDITIONS, "method", "knob", "cls_alone")
"""Columns that describe a point."""

FIELDS = {
    "metric": ("metric", "value"),
    "baseline": ("baseline", "value"),
    "padded_model": ("latency", "padded", "model_ms"),
    "padded_baseline": ("latency", "padded", "baseline_ms"),
    "padded_speedup": ("latency", "padded", "speedup"),
    "dynamic_model": ("latency", "dynamic", "model_ms"),
    "dynamic_baseline": ("latency", "dynamic", "baseline_ms"),
    "dynamic_speedup": ("latency", "dynamic", "speedup"),
    "flops_model": ("flops", "model"),
    "flops_baseline": ("flops", "baseline"),
    "flops_speedup": ("flops", "ratio"),
}
"""Columns of numbers that every record has, and where it keeps them."""

NUMBERS = (*FIELDS, "dev", "dev_baseline", "longer", "longer_baseline")


def tabulate(records: Iterable[Record]) -> pd.DataFrame:
    """Build the table that all reports work on.

    Returns:
        A row per record, in the order of the records: `CONDITIONS`; `NUMBERS`, NaN where a record does not
        state one; and

        - `method`, `knob` (labels), `cls_alone` (whether the last encoder computes [CLS] alone) and `seed`;
        - `dev`, `dev_baseline`: the metric by which everything is chosen, that of the evaluation split for a
          record without one on dev;
        - `on_evaluation`: whether the split that a choice looks at is also the one reported;
        - `<protocol>_disturbed`: whether other processes disturbed the timing; None if unknown;
        - `setting`: the hyper-parameters as JSON; `run`: all that distinguishes runs except their seed;
        - `epochs` of all stages, NaN if unknown; `trials`: the stated number of settings tried;
        - `artifact` of the fine-tuned model, None if unknown; `stages`: length of the chain;
        - `record`: the record itself.
    """
    return pd.DataFrame([_row(record) for record in records])


def metric_label(name: str) -> str:
    """Return a metric's name as people write it."""
    return METRIC_NAMES.get(name, name)


def _row(record: Record) -> dict[str, Any]:
    metric, baseline, latency = record["metric"], record["baseline"], record["latency"]
    device = record["environment"].get("device")
    config = record["config"]
    unseeded = {key: value for key, value in distinguishing(config).items() if key != "seed"}
    dev = "dev" if "dev" in metric else "value"
    longer = record.get("longer_than") or {}
    return {
        "dataset": record["dataset"],
        "model": record["model"],
        "metric_name": metric["name"],
        "split": metric.get("split") or "evaluation",
        "max_length": record["max_length"],
        "device": device or "unknown device",
        **{f"{protocol}_batch_size": latency[protocol]["batch_size"] for protocol in PROTOCOLS},
        **{name: _number(_value(record, path)) for name, path in FIELDS.items()},
        "dev": _number(metric[dev]),
        "dev_baseline": _number(baseline.get(dev)),
        "longer": _number(longer.get("value")),
        "longer_baseline": _number(longer.get("baseline")),
        "method": method_label(record),
        "knob": knob_label(record),
        "cls_alone": record.get("cls_alone", False),
        "seed": record["seed"],
        "on_evaluation": dev == "value" or metric.get("split") == "dev",
        **{f"{protocol}_disturbed": latency[protocol].get("disturbed") for protocol in PROTOCOLS},
        "setting": _json({key: config[key] for key in HYPER_PARAMETERS if key in config}),
        "run": _json([record["knob"], record["max_length"], device, unseeded]),
        "epochs": _epochs(record),
        "trials": record.get("trials") or 1,
        "artifact": baseline.get("artifact") or None,
        "stages": len(record.get("chain") or ()),
        "record": record,
    }


def _value(record: Record, path: Iterable[str]) -> float | None:
    value: Any = record
    for key in path:
        value = value[key]
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _epochs(record: Record) -> float:
    """Sum the epochs of all stages, those of earlier methods included."""
    chain = record.get("chain")
    stages = [entry.get("epochs") for entry in chain] if chain else [*record.get("epochs", {}).values()]
    known = [count for count in stages if isinstance(count, int | float)]
    return sum(known) if known and len(known) == len(stages) else math.nan
