"""`hydra/sweeper: points` sweeps over named points that set different keys: methods, each with its knob."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override, Transformer
from omegaconf import OmegaConf


@dataclass
class PointSweeperConf(BasicSweeperConf):
    """Settings of `PointSweeper`."""

    _target_: str = "hydra_plugins.powerbert_sweepers.points.PointSweeper"
    _convert_: str = "all"
    points: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store("points", PointSweeperConf, group="hydra/sweeper", provider="powerbert")


class PointSweeper(BasicSweeper):
    """Cross the command line's sweep with named points.

    Hydra's basic sweeper takes the product of all keys. Here every entry of `points` is a product by itself,
    and their union is crossed with the other swept keys, which change slowest: with `seed=1,2` all points of
    seed 1 come first. Each job gets the number of jobs as `sweep_size`.

    Args:
        max_batch_size: the most jobs given to the launcher at once; None for no limit.
        params: further sweeps, as of the basic sweeper.
        points: by name, the overrides of an entry. A list is swept; null instead of an entry drops it.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        points: Mapping[str, Mapping[str, Any] | None] | None = None,
    ):
        super().__init__(max_batch_size, params)
        self.points = {name: entry for name, entry in (points or {}).items() if entry is not None}

    def split_arguments(  # type: ignore[override]  # a static method there, but here it needs the points
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Return the overrides of all jobs, in batches.

        Raises:
            ConfigError: if there is no point, or an override is of a key that the points set.
        """
        self._check({override.key_or_group for override in overrides})
        (given,) = super().split_arguments(overrides, None)
        points = [point for entry in self.points.values() for point in expand(entry)]
        jobs = [[*outer, *point] for outer in given for point in points]
        sized = [[*job, f"sweep_size={len(jobs)}"] for job in jobs]
        return list(self.split_overrides_to_chunks(sized, max_batch_size))

    def _check(self, given: set[str]) -> None:
        from powerbert.base.errors import ConfigError

        for name, entry in self.points.items():
            if not isinstance(entry, Mapping):
                raise ConfigError(f"hydra.sweeper.points.{name}: {entry!r} is no mapping of keys to values")
        if not any(expand(entry) for entry in self.points.values()):
            raise ConfigError("hydra.sweeper.points: there is none to run; give at least one")
        for key in sorted(given):
            setting = [name for name, entry in self.points.items() if key in entry]
            if setting:
                raise ConfigError(
                    f"{key}: the points of this sweep set it ({', '.join(setting)}){self._source_of(key)}; "
                    f"to leave some out, give hydra.sweeper.points.<name>=null for any of "
                    f"{', '.join(self.points)}"
                )

    def _source_of(self, key: str) -> str:
        """Name the other key from which the points take their values of `key`, if there is one."""
        assert self.config is not None
        entries: Any = OmegaConf.to_container(self.config.hydra.sweeper.points, resolve=False)
        values = {str(entries[name].get(key)) for name in self.points}
        sources = [value[2:-1] for value in sorted(values) if value.startswith("${")]
        return "".join(f"; for other values, give {source}=[...]" for source in sources)


def expand(entry: Mapping[str, Any]) -> list[list[str]]:
    """Return the overrides of each point of one entry: the product of its lists, the last changing fastest.

    Args:
        entry: values by key of the configuration; a list is swept, anything else is one value. An empty list
            gives no point.
    """
    swept = [
        [f"{key}={Transformer.str(value)}" for value in (values if isinstance(values, list) else [values])]
        for key, values in entry.items()
    ]
    return [list(point) for point in itertools.product(*swept)]
