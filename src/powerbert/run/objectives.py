"""The numbers of a record that a sweeper can optimize."""

from collections.abc import Callable, Mapping, Sequence

from powerbert.base.errors import ConfigError
from powerbert.store.naming import Record


def _loss(record: Record) -> float | None:
    before, after = record["baseline"]["dev"], record["metric"]["dev"]
    return None if before is None or after is None else before - after


OBJECTIVES: Mapping[str, Callable[[Record], float | None]] = {
    "metric": lambda record: record["metric"]["dev"],
    "loss": _loss,
    "word_vectors": lambda record: record["word_vectors"]["retained"],
    "flops": lambda record: record["flops"]["model"],
    "latency_padded": lambda record: record["latency"]["padded"]["model_ms"],
    "latency_dynamic": lambda record: record["latency"]["dynamic"]["model_ms"],
    "speedup_flops": lambda record: record["flops"]["ratio"],
    "speedup_padded": lambda record: record["latency"]["padded"]["speedup"],
    "speedup_dynamic": lambda record: record["latency"]["dynamic"]["speedup"],
}
"""By name: the metric on dev and speed-ups (larger is better); the loss of that metric against the fine-tuned
model, and costs (smaller is better)."""


def check_objectives(names: Sequence[str]) -> None:
    """Raise ConfigError for a name that is not among `OBJECTIVES`."""
    for name in names:
        if name not in OBJECTIVES:
            raise ConfigError(f"objectives: '{name}' is unknown; choose from {', '.join(OBJECTIVES)}")


def objective_values(record: Record, names: Sequence[str]) -> tuple[float, ...]:
    """Return the values, by keys of `OBJECTIVES`, that a sweeper such as Optuna asks for.

    An undefined metric is NaN.
    """
    check_objectives(names)
    values = (OBJECTIVES[name](record) for name in names)
    return tuple(float("nan") if value is None else float(value) for value in values)
