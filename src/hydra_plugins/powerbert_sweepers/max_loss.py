"""`hydra/sweeper: max_loss` finds the greatest speed-up at a bounded loss, in a few trials."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

log = logging.getLogger(__name__)


@dataclass
class MaxLossSweeperConf:
    """Settings of `MaxLossSweeper`.

    Attributes:
        max_loss: the bound; 0.01 is one point of accuracy.
        parameter: the key that is searched; its values are positive numbers.
        low: its least value.
        high: its greatest value.
        factor: from one value to the next, as long as the bound was met always or never.
        tolerance: the search ends when the least value beyond the bound is at most so many times the
            greatest one within.
        trials: the most jobs.
    """

    _target_: str = "hydra_plugins.powerbert_sweepers.max_loss.MaxLossSweeper"
    max_loss: Any = 0.01  # a float, checked by the sweeper: Hydra would answer another type with a traceback
    parameter: str = "lambda"
    low: float = 1.0e-5
    high: float = 0.1
    factor: float = 3.0
    tolerance: float = 1.1
    trials: int = 6


ConfigStore.instance().store("max_loss", MaxLossSweeperConf, group="hydra/sweeper", provider="powerbert")


@dataclass(frozen=True)
class Trial:
    """One job of the search.

    Attributes:
        value: of the parameter.
        loss: of the metric on dev, absolute; NaN if the job failed or the metric is not defined.
        speedup: times less, or times faster, than the fine-tuned model; NaN if the job failed.
        within: whether the loss is within the bound.
    """

    value: float
    loss: float
    speedup: float
    within: bool


class MaxLossSweeper(BasicSweeper):
    """Looks for the value of one parameter with the greatest speed-up among those that lose little enough.

    Loss and speed-up are taken to grow with the parameter, more or less: from its configured value the
    search goes up or down by a factor until the bound lies between two values, then bisects on a
    logarithmic scale. The task returns the pair (loss, speed-up); a failed job is beyond the bound.

    Args:
        settings: the fields of `MaxLossSweeperConf`.

    Attributes:
        is_search: says that the points are not known from the start.
    """

    is_search = True

    def __init__(self, **settings: Any):
        super().__init__(max_batch_size=1)
        self.settings = MaxLossSweeperConf(**settings)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Searches, prints the trail and the winner, and writes `optimization_results.yaml`.

        Ends the process with one message if the settings make no sense or nothing is within the bound.

        Args:
            arguments: the command line's overrides, one value each.

        Returns:
            What the jobs returned, in order.
        """
        from powerbert.base.cli import one_message

        with one_message():
            start, objectives = self._check()
            trail, returns = self._search(start, self._fixed(arguments))
            self._print(trail, objectives)
            self._conclude(trail, objectives)
            return returns

    def _check(self) -> tuple[float, list[str]]:
        """The parameter's configured value, and the names of loss and speed-up."""
        from powerbert.base.errors import ConfigError
        from powerbert.run.objectives import check_objectives

        assert self.config is not None
        own = self.settings
        start = OmegaConf.select(self.config, own.parameter)
        objectives = list(OmegaConf.select(self.config, "objectives") or ())
        for key, holds, meant in (
            ("max_loss", _is_number(own.max_loss), "a finite number"),
            ("hydra.sweeper.parameter", _is_number(start), "a key whose value is a number"),
            ("hydra.sweeper.low", own.low > 0, "greater than 0"),
            (
                "hydra.sweeper.high",
                own.low < own.high < math.inf,
                f"finite and greater than low, {own.low:g}",
            ),
            ("hydra.sweeper.factor", own.factor > 1, "greater than 1"),
            ("hydra.sweeper.tolerance", own.tolerance > 1, "greater than 1"),
            ("hydra.sweeper.trials", own.trials >= 1, "at least 1"),
            ("objectives", len(objectives) == 2, "two: a loss and a speed-up"),
        ):
            if not holds:
                value = OmegaConf.select(self.config, key)
                raise ConfigError(f"{key}: {value} must be {meant}")
        check_objectives(objectives)
        return start, objectives

    def _fixed(self, arguments: Sequence[str]) -> list[str]:
        """The overrides that every trial shares."""
        from powerbert.base.errors import ConfigError

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        fixed = []
        for override in parser.parse_overrides(list(arguments)):
            key = override.key_or_group
            if override.is_sweep_override():
                raise ConfigError(
                    f"{key}: the search for {self.settings.parameter} starts from one value of it; "
                    "run the command once for each"
                )
            if key != self.settings.parameter:
                fixed.append(str(override.input_line))
        return fixed

    def _search(self, start: float, fixed: Sequence[str]) -> tuple[list[Trial], list[JobReturn]]:
        assert self.launcher is not None
        own = self.settings
        trail: list[Trial] = []
        returns: list[JobReturn] = []
        while len(trail) < own.trials:
            value = propose(trail, start, own)
            if value is None:
                break
            job = [*fixed, f"{own.parameter}={value}", f"sweep_size={own.trials}"]
            returns += self.launcher.launch([job], initial_job_idx=len(trail))
            loss, speedup = _values(returns[-1])
            trail.append(Trial(value, loss, speedup, loss <= own.max_loss and not math.isnan(speedup)))
        return trail, returns

    def _print(self, trail: Sequence[Trial], objectives: Sequence[str]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(
            title=f"At most {_points(self.settings.max_loss)} points of loss on dev",
            box=box.SIMPLE_HEAD,
            title_justify="left",
            title_style="bold",
        )
        for header in ("trial", self.settings.parameter, f"{objectives[0]}, points", objectives[1], "within"):
            table.add_column(header, justify="right", no_wrap=True)
        for number, trial in enumerate(trail):
            speedup = "n/a" if math.isnan(trial.speedup) else f"{trial.speedup:.2f}x"
            within = "yes" if trial.within else "no"
            table.add_row(str(number), str(trial.value), _points(trial.loss), speedup, within)
        Console().print(table)

    def _conclude(self, trail: Sequence[Trial], objectives: Sequence[str]) -> None:
        """Names the winner, on the terminal and in the sweep's folder.

        Raises:
            UserError: if no trial is within the bound.
        """
        from powerbert.base.errors import UserError

        assert self.config is not None
        best = max(
            (trial for trial in trail if trial.within),
            key=lambda trial: (trial.speedup, -trial.loss),
            default=None,
        )
        if best is None:
            raise UserError(self._no_winner(trail))
        parameter, points = self.settings.parameter, _points(best.loss)
        print(f"winner: {parameter}={best.value}, {best.speedup:.2f}x at a loss of {points} points")
        if all(trial.within for trial in trail):
            flat = f"a greater {parameter} brings no further speed-up"
            more = flat if _flat(trail) else f"try {self._further(trail, 'high')}"
            print(f"No trial lost too much: {more}")
        results = {
            "name": "max_loss",
            "best_params": {parameter: best.value},
            "best_values": dict(zip(objectives, (best.loss, best.speedup), strict=True)),
        }
        OmegaConf.save(results, Path(self.config.hydra.sweep.dir) / "optimization_results.yaml")

    def _no_winner(self, trail: Sequence[Trial]) -> str:
        known = [trial for trial in trail if not math.isnan(trial.loss)]
        if not known:
            return "max_loss: no trial came to a loss; see the errors above"
        least = min(known, key=lambda trial: trial.loss)
        return (
            f"max_loss: no trial is within {_points(self.settings.max_loss)} points; the least loss was "
            f"{_points(least.loss)} points with {self.settings.parameter}={least.value}. "
            f"Allow a greater loss, or try {self._further(trail, 'low')}"
        )

    def _further(self, trail: Sequence[Trial], limit: str) -> str:
        """What to change so that the search goes on towards its limit `low` or `high`."""
        own = self.settings
        end = getattr(own, limit)
        if any(trial.value == end for trial in trail):
            return f"hydra.sweeper.{limit}={end * 10 if limit == 'high' else end / 10:g}"
        return f"hydra.sweeper.trials={2 * own.trials}"


def propose(trail: Sequence[Trial], start: float, settings: MaxLossSweeperConf) -> float | None:
    """The value of the next trial.

    Args:
        trail: the trials so far.
        start: the first value, unless it is outside `low`..`high`.
        settings: of the search.

    Returns:
        A value from `low` to `high`, rounded to three digits after the first trial; None at the search's end.
    """
    if not trail:
        return min(max(start, settings.low), settings.high)
    within = max((trial.value for trial in trail if trial.within), default=0.0)
    beyond = min((t.value for t in trail if not t.within and t.value > within), default=math.inf)
    if not within:
        value = beyond / settings.factor
    elif beyond == math.inf:
        if _flat(trail):
            return None
        value = within * settings.factor
    elif beyond <= within * settings.tolerance:
        return None
    else:
        value = math.sqrt(within * beyond)
    value = min(max(float(f"{value:.3g}"), settings.low), settings.high)
    return None if value in (trial.value for trial in trail) else value


def _flat(trail: Sequence[Trial]) -> bool:
    """Whether the last step brought nothing: the same model, as far as its speed-up tells."""
    return len(trail) > 1 and trail[-1].speedup == trail[-2].speedup


def _values(job: JobReturn) -> tuple[float, float]:
    """Loss and speed-up of a finished job; NaN where it failed."""
    try:
        loss, speedup = job.return_value or (math.nan, math.nan)
    except Exception as error:  # what the task raised
        log.warning("a trial failed: %s", error)
        return math.nan, math.nan
    return float(loss), float(speedup)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _points(loss: float) -> str:
    return "n/a" if math.isnan(loss) else f"{100 * loss:.2f}"
