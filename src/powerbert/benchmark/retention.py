"""Retention configurations to be timed: the built-in ones, a list of the user's, or an artifact's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from powerbert.base.errors import ConfigError
from powerbert.elimination import validate_retention_configuration
from powerbert.run.settings import plain


@dataclass(frozen=True)
class Retention:
    """A retention configuration to be timed.

    Attributes:
        name: for people.
        configuration: word-vectors that each encoder retains; None if all of them retain all.
        length: the word pieces that it was found for; None if it does not matter.
    """

    name: str
    configuration: tuple[int, ...] | None
    length: int | None = None

    def at(self, length: int) -> list[int] | None:
        """The configuration with its entries capped at the length of a padded input."""
        return None if self.configuration is None else [min(entry, length) for entry in self.configuration]


def read_retentions(
    cfg: Mapping[str, Any], encoders: int, longest: int, own: Retention | None
) -> list[Retention]:
    """The retention configurations to be timed.

    Args:
        cfg: the composed configuration of `conf/benchmark.yaml`.
        encoders: L, the number of encoders of the model.
        longest: the model's longest input.
        own: what an artifact retains itself; None for a shape.

    Returns:
        Those that `retention` names, or lists; without it the artifact's own, or all of `retentions` that fit
        the model.

    Raises:
        ConfigError: if a name is unknown, or a configuration does not fit the model.
    """
    known = {name: _named(name, entry) for name, entry in plain(cfg["retentions"]).items()}
    given = plain(cfg["retention"])
    if given is None:
        retentions = [one for one in known.values() if _fits(one, encoders)] if own is None else [own]
    elif isinstance(given, list) and given and not any(isinstance(entry, str) for entry in given):
        retentions = [Retention("custom", tuple(given))]
    else:
        names = [str(name) for name in (given if isinstance(given, list) else [given])]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise ConfigError(
                f"retention: '{', '.join(unknown)}' is unknown; choose of {', '.join(known)}, or give a list "
                f"of {encoders} whole numbers"
            )
        retentions = [known[name] for name in names]
    for one in retentions:
        if one.configuration is not None:
            try:
                validate_retention_configuration(one.configuration, encoders, longest)
            except ConfigError as error:
                raise ConfigError(f"retention: '{one.name}' does not fit the model: {error}") from error
    return retentions


def _named(name: str, entry: Any) -> Retention:
    try:
        configuration, length = entry["configuration"], entry["length"]
    except (TypeError, KeyError) as error:
        raise ConfigError(f"retentions.{name}: give a configuration and a length, or null") from error
    return Retention(name, None if configuration is None else tuple(configuration), length)


def _fits(retention: Retention, encoders: int) -> bool:
    return retention.configuration is None or len(retention.configuration) == encoders
