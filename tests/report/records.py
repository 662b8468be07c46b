"""Records as the reports' tests need them."""

from typing import Any


def point(
    dataset: str = "rte",
    *,
    knob: float = 0.001,
    seed: int = 1,
    value: float | None = 0.67,
    baseline: float | None = 0.68,
    dev: tuple[float | None, float | None] | None = None,
    model_ms: float | None = 50.0,
    baseline_ms: float | None = 200.0,
    model: str = "bert_base",
    method: str = "power_bert",
    metric: str = "accuracy",
    max_length: int = 256,
    batch_size: int = 128,
    split: str = "dev",
    device: str = "NVIDIA H100",
    **config: Any,
) -> dict[str, Any]:
    """A valid record; `dev` is the metric of model and baseline on dev."""
    metrics = [{"name": metric, "value": value, "split": split}, {"value": baseline}]
    if dev is not None:
        for entry, on_dev in zip(metrics, dev, strict=True):
            entry["dev"] = on_dev
    return {
        "record_version": 1,
        "method": method,
        "dataset": dataset,
        "model": model,
        "knob": {"lambda": knob},
        "seed": seed,
        "metric": metrics[0],
        "baseline": metrics[1],
        "retention_configuration": [153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5],
        "max_length": max_length,
        "word_vectors": {"retained": 868, "baseline": 3072},
        "flops": {"model": 13.2e9, "baseline": 43.5e9, "ratio": 3.3},
        "latency": {
            "padded": {
                "batch_size": batch_size,
                "model_ms": model_ms,
                "baseline_ms": baseline_ms,
                "speedup": None if None in (model_ms, baseline_ms) else baseline_ms / model_ms,
                "runs": 100,
                "statistic": "mean",
            },
            "dynamic": {"batch_size": 32, "model_ms": 10.0, "baseline_ms": 18.0, "speedup": 1.8},
        },
        "artifacts": {},
        "environment": {"device": device, "cpu": "Some CPU"},
        "config": {"seed": seed, "lambda": knob, **config},
    }
