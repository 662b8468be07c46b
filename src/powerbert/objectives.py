"""What a sweeper may optimise: numbers that a record gives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from powerbert.errors import ConfigError

OBJECTIVES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "metric": lambda record: record["metric"]["dev"],
    "word_vectors": lambda record: record["word_vectors"]["retained"],
    "flops": lambda record: record["flops"]["model"],
    "latency_padded": lambda record: record["latency"]["padded"]["model_ms"],
    "latency_dynamic": lambda record: record["latency"]["dynamic"]["model_ms"],
}
"""By name: the metric on dev (larger is better), and costs (smaller is better)."""


def objective_values(record: Mapping[str, Any], names: Sequence[str]) -> tuple[float, ...]:
    """The values of a record that a sweeper such as Optuna asks for.

    Args:
        record: of the trial.
        names: keys of `OBJECTIVES`, in the order of the sweeper's directions.

    Returns:
        One number for each name; NaN for a metric that is not defined.

    Raises:
        ConfigError: naming the objective that is unknown.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise ConfigError(f"objectives: '{name}' is unknown; choose from {', '.join(OBJECTIVES)}")
    values = (OBJECTIVES[name](record) for name in names)
    return tuple(float("nan") if value is None else float(value) for value in values)
