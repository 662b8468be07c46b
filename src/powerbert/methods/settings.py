"""Checks of settings that several methods share."""

import math
from typing import Any

from powerbert.base.errors import ConfigError
from powerbert.models import num_encoders


def check_encoders(encoders: int, model_config: Any) -> None:
    """Refuses a number of encoders that a smaller student of this model cannot have.

    Args:
        encoders: k, of the student.
        model_config: the teacher's transformers configuration.

    Raises:
        ConfigError: unless k is a whole number from 1 to L - 1.
    """
    most = num_encoders(model_config) - 1
    if isinstance(encoders, bool) or not isinstance(encoders, int) or not 1 <= encoders <= most:
        raise ConfigError(
            f"method.encoders: {encoders!r} must be a whole number from 1 to {most}; "
            f"the model has {most + 1} encoders"
        )


def check_number(
    name: str, value: float, low: float = 0.0, high: float = math.inf, *, strict: bool = False
) -> None:
    """Refuses a number out of its range.

    Args:
        name: of the setting, under `method`.
        value: of the setting.
        low: least value.
        high: greatest value.
        strict: whether the bounds themselves are out of the range.

    Raises:
        ConfigError: naming setting and range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    inside = number and (low < value < high if strict else low <= value <= high)
    if not inside:
        words = ("greater than", "less than") if strict else ("at least", "at most")
        upper = f" and {words[1]} {high:g}" if high < math.inf else ""
        raise ConfigError(f"method.{name}: {value!r} must be a number {words[0]} {low:g}{upper}")
