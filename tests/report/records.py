"""Records as the reports' tests need them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def point(
    dataset: str = "rte",
    *,
    knob: float | Mapping[str, Any] = 0.001,
    seed: int = 1,
    value: float | None = 0.67,
    baseline: float | None = 0.68,
    dev: tuple[float | None, float | None] | None = None,
    model_ms: float | None = 50.0,
    baseline_ms: float | None = 200.0,
    dynamic: float | None = 1.8,
    flops: float | None = 3.3,
    model: str = "bert_base",
    method: str = "power_bert",
    metric: str = "accuracy",
    max_length: int = 256,
    batch_size: int = 128,
    split: str = "dev",
    device: str = "NVIDIA H100",
    disturbed: bool | None = None,
    further: Mapping[str, Any] | None = None,
    **config: Any,
) -> dict[str, Any]:
    """A valid record.

    A knob that is a number is a lambda; `dev` is the metric of model and baseline on dev, `dynamic` and
    `flops` are how many times faster and fewer; `disturbed` is of the padded timing; `further` are fields
    beside those that every record has.
    """
    metrics = [{"name": metric, "value": value, "split": split}, {"value": baseline}]
    if dev is not None:
        for entry, on_dev in zip(metrics, dev, strict=True):
            entry["dev"] = on_dev
    knobs = dict(knob) if isinstance(knob, Mapping) else {"lambda": knob}
    return {
        "record_version": 1,
        "method": method,
        "dataset": dataset,
        "model": model,
        "knob": knobs,
        "seed": seed,
        "metric": metrics[0],
        "baseline": metrics[1],
        "retention_configuration": [153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5],
        "max_length": max_length,
        "word_vectors": {"retained": 868, "baseline": 3072},
        "flops": {"model": flops and 43.5e9 / flops, "baseline": 43.5e9, "ratio": flops},
        "latency": {
            "padded": {
                "batch_size": batch_size,
                "model_ms": model_ms,
                "baseline_ms": baseline_ms,
                "speedup": None if None in (model_ms, baseline_ms) else baseline_ms / model_ms,
                "runs": 100,
                "statistic": "mean",
                **({} if disturbed is None else {"disturbed": disturbed}),
            },
            "dynamic": {
                "batch_size": 32,
                "model_ms": dynamic and 18.0 / dynamic,
                "baseline_ms": 18.0,
                "speedup": dynamic,
            },
        },
        "artifacts": {},
        "environment": {"device": device, "cpu": "Some CPU"},
        "config": {"seed": seed, "lambda": knobs.get("lambda"), **config},
        **(further or {}),
    }


def study(datasets: Sequence[str] = ("rte", "sst2"), seeds: Sequence[int] = (1, 2)) -> list[dict[str, Any]]:
    """Three methods at a few settings each."""
    curves: dict[str, list[tuple[dict[str, Any], float, float]]] = {
        "power_bert": [({"lambda": 0.001}, 0.675, 2.5), ({"lambda": 0.003}, 0.66, 4.0)],
        "distilbert": [({"encoders": 4}, 0.672, 1.5), ({"encoders": 3}, 0.665, 2.0)],
        "dense": [({}, 0.684, 1.0)],
    }
    return [
        point(
            dataset,
            method=method,
            knob=knob,
            seed=seed,
            value=value + 0.002 * seed,
            baseline=0.678 + 0.002 * seed,
            model_ms=200 / speedup,
            dynamic=speedup**0.5,
            flops=speedup,
        )
        for dataset in datasets
        for method, points in curves.items()
        for knob, value, speedup in points
        for seed in seeds
    ]


def read_table(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of a table of the paper by quantity and row."""
    with path.open(encoding="utf-8") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    return {(row.pop("quantity"), row.pop("row")): row for row in rows}
