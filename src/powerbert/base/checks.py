"""Checks of single settings; each error begins with the setting's key."""

import math
from collections.abc import Collection

from powerbert.base.errors import ConfigError


def check_whole(
    key: str, value: object, low: int = 1, high: int | None = None, *, optional: bool = False
) -> None:
    """Raise ConfigError unless `value` is a whole number within its bounds, or None where that is allowed."""
    if optional and value is None:
        return
    inside = isinstance(value, int) and not isinstance(value, bool) and value >= low
    if not inside or (high is not None and value > high):  # type: ignore[operator]
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(
            f"{key}: {value!r} must be a whole number {bounds}{', or null' if optional else ''}"
        )


def check_number(
    key: str, value: object, low: float = 0.0, high: float = math.inf, *, strict: bool = False
) -> None:
    """Raise ConfigError unless `value` is a finite number within its bounds; `strict` excludes the bounds."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (low < value < high if strict else low <= value <= high):  # type: ignore[operator]
        words = ("greater than", "less than") if strict else ("at least", "at most")
        upper = f" and {words[1]} {high:g}" if high < math.inf else ""
        raise ConfigError(f"{key}: {value!r} must be a number {words[0]} {low:g}{upper}")


def check_choice(key: str, value: object, choices: Collection[str]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{key}: {value!r} is unknown; choose one of {', '.join(choices)}")


def check_flag(key: str, value: object) -> None:
    """Raise ConfigError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: {value!r} must be true or false")
