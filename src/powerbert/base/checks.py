"""Checks of single settings; each error begins with the setting's key."""

import math
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

from powerbert.base.errors import ConfigError, ModelError


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


def check_artifact(folder: object) -> None:
    """Raise ConfigError unless one folder is given as `artifact`, ModelError unless it exists."""
    if not isinstance(folder, str | Path):
        raise ConfigError("artifact: give the folder of one trained model, artifact=<folder>")
    if not Path(folder).is_dir():
        raise ModelError(f"artifact: there is no folder {folder}")


def check_known(prefix: str, key: str, known: Iterable[str]) -> None:
    """Raise ConfigError, naming the nearest known key, unless a key is one of `known`."""
    names = sorted(known)
    if key not in names:
        raise ConfigError(f"{prefix}{key}: there is no such setting{suggestion(key, names, prefix)}")


def suggestion(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return `; did you mean ...?` with the nearest name, or key of any node; empty if none is near."""
    names = list(known)
    last = name.rpartition(".")[2]
    near = get_close_matches(name, names, n=1) or [other for other in names if other.endswith(f".{last}")]
    ends = {other.rpartition(".")[2]: other for other in reversed(names)}
    near = near or [ends[end] for end in get_close_matches(last, ends, n=1, cutoff=0.75)]
    return f"; did you mean {prefix}{near[0]}?" if near else ""
