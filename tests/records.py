"""A record of a run, for tests that read or write records."""

import copy
from typing import Any

RECORD: dict[str, Any] = {
    "record_version": 1,
    "identity": "0123456789abcdef",
    "method": "power_bert",
    "dataset": "rte",
    "model": "bert_base",
    "knob": {"lambda": 0.001},
    "seed": 42,
    "metric": {"name": "accuracy", "value": 0.67},
    "baseline": {"value": 0.68},
    "retention_configuration": [153, 125, 5],
    "max_length": 256,
    "word_vectors": {"retained": 283, "baseline": 768},
    "flops": {"model": 1.0e9, "baseline": 3.3e9, "ratio": 3.3},
    "latency": {
        "padded": {"batch_size": 128, "model_ms": 1.0, "baseline_ms": 3.1, "speedup": 3.1},
        "dynamic": {"batch_size": 32, "model_ms": 1.0, "baseline_ms": 1.8, "speedup": 1.8},
    },
    "artifacts": {"finetune": "a", "search": "b", "retrain": "c"},
    "environment": {"torch": "2.13.0"},
    "config": {"lambda": 0.001},
}


def record(
    changes: dict[str, Any] | None = None, without: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A copy of the record with other fields; `changes` and `without` name fields by dotted paths."""
    made = copy.deepcopy(RECORD) | fields
    for path, value in (changes or {}).items():
        inner, name = _inner(made, path)
        inner[name] = value
    if without is not None:
        inner, name = _inner(made, without)
        del inner[name]
    return made


def _inner(made: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *fields, name = path.split(".")
    for field in fields:
        made = made[field]
    return made, name
