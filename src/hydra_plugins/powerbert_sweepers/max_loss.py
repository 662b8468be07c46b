"""`hydra/sweeper: max_loss`: the largest speed-up at a bounded loss, in a few trials."""

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
        max_loss: the bound, absolute: 0.01 is one point of accuracy.
        parameter: the key that is searched; its values are positive numbers.
        low: its smallest value.
        high: its largest value.
        factor: ratio of consecutive values until the bound lies between two of them.
        tolerance: the search ends when the smallest value beyond the bound is at most this many times the
            largest value within it.
        trials: the maximum number of jobs.
    """

    _target_: str = "hydra_plugins.powerbert_sweepers.max_loss.MaxLossSweeper"
    max_loss: Any = 0.01  # checked by the sweeper: Hydra's message for another type names no key
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
        loss: of the metric on dev, absolute; NaN if the job failed or the metric is undefined.
        speedup: over the fine-tuned model; NaN if the job failed.
        within: whether the loss is within the bound.
    """

    value: float
    loss: float
    speedup: float
    within: bool


class MaxLossSweeper(BasicSweeper):
    """Search the value of one parameter with the largest speed-up at a bounded loss.

    Loss and speed-up are assumed to grow with the parameter. From its configured value the search moves by a
    factor until the bound lies between two values, then bisects on a logarithmic scale. The task returns
    the pair (loss, speed-up); a failed job counts as beyond the bound. `settings` are the fields of
    `MaxLossSweeperConf`.
    """

    is_search = True

    def __init__(self, **settings: Any):
        super().__init__(max_batch_size=1)
        self.settings = MaxLossSweeperConf(**settings)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Search, print the trials and the winner, and write `optimization_results.yaml`.

        Returns:
            The jobs' returns, in order.

        Raises:
            UserError: for an invalid setting, or if no trial is within the bound.
        """
        start, objectives = self._check()
        trials, returns = self._search(start, self._fixed(arguments))
        self._print(trials, objectives)
        self._conclude(trials, objectives)
        return returns

    def _check(self) -> tuple[float, list[str]]:
        """Return the parameter's configured value, and the names of loss and speed-up."""
        from powerbert.base.checks import check_number, check_whole
        from powerbert.base.errors import ConfigError
        from powerbert.run.objectives import check_objectives

        assert self.config is not None
        own = self.settings
        start = OmegaConf.select(self.config, own.parameter)
        objectives = list(OmegaConf.select(self.config, "objectives") or ())
        check_number("max_loss", own.max_loss)
        if not isinstance(start, int | float) or not math.isfinite(start):
            raise ConfigError(
                f"hydra.sweeper.parameter: '{own.parameter}' must be a key whose value is a number"
            )
        check_number("hydra.sweeper.low", own.low, strict=True)
        check_number("hydra.sweeper.high", own.high, low=own.low, strict=True)
        check_number("hydra.sweeper.factor", own.factor, low=1, strict=True)
        check_number("hydra.sweeper.tolerance", own.tolerance, low=1, strict=True)
        check_whole("hydra.sweeper.trials", own.trials)
        if len(objectives) != 2:
            raise ConfigError(f"objectives: {objectives} must be two: a loss and a speed-up")
        check_objectives(objectives)
        return start, objectives

    def _fixed(self, arguments: Sequence[str]) -> list[str]:
        """Return the overrides that all trials share."""
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
        trials: list[Trial] = []
        returns: list[JobReturn] = []
        while len(trials) < own.trials:
            value = propose(trials, start, own)
            if value is None:
                break
            job = [*fixed, f"{own.parameter}={value}", f"sweep_size={own.trials}"]
            returns += self.launcher.launch([job], initial_job_idx=len(trials))
            loss, speedup = _values(returns[-1])
            trials.append(Trial(value, loss, speedup, loss <= own.max_loss and not math.isnan(speedup)))
        return trials, returns

    def _print(self, trials: Sequence[Trial], objectives: Sequence[str]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        title = f"At most {_points(self.settings.max_loss)} points of loss on dev"
        table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        for header in ("trial", self.settings.parameter, f"{objectives[0]}, points", objectives[1], "within"):
            table.add_column(header, justify="right", no_wrap=True)
        for number, trial in enumerate(trials):
            speedup = "n/a" if math.isnan(trial.speedup) else f"{trial.speedup:.2f}x"
            within = "yes" if trial.within else "no"
            table.add_row(str(number), str(trial.value), _points(trial.loss), speedup, within)
        Console().print(table)

    def _conclude(self, trials: Sequence[Trial], objectives: Sequence[str]) -> None:
        """Print the winner and write it into the sweep's folder; UserError if no trial meets the bound."""
        from powerbert.base.errors import UserError

        assert self.config is not None
        within = [trial for trial in trials if trial.within]
        if not within:
            raise UserError(self._no_winner(trials))
        best = max(within, key=lambda trial: (trial.speedup, -trial.loss))
        parameter, points = self.settings.parameter, _points(best.loss)
        print(f"winner: {parameter}={best.value}, {best.speedup:.2f}x at a loss of {points} points")
        if len(within) == len(trials):
            flat = f"a greater {parameter} brings no further speed-up"
            more = flat if _flat(trials) else f"try {self._further(trials, 'high')}"
            print(f"No trial lost too much: {more}")
        results = {
            "name": "max_loss",
            "best_params": {parameter: best.value},
            "best_values": dict(zip(objectives, (best.loss, best.speedup), strict=True)),
        }
        OmegaConf.save(results, Path(self.config.hydra.sweep.dir) / "optimization_results.yaml")

    def _no_winner(self, trials: Sequence[Trial]) -> str:
        known = [trial for trial in trials if not math.isnan(trial.loss)]
        if not known:
            return "max_loss: no trial came to a loss; see the errors above"
        least = min(known, key=lambda trial: trial.loss)
        return (
            f"max_loss: no trial is within {_points(self.settings.max_loss)} points; the least loss was "
            f"{_points(least.loss)} points with {self.settings.parameter}={least.value}. "
            f"Allow a greater loss, or try {self._further(trials, 'low')}"
        )

    def _further(self, trials: Sequence[Trial], limit: str) -> str:
        """Return the override with which the search gets further towards its limit, `low` or `high`."""
        end = getattr(self.settings, limit)
        if any(trial.value == end for trial in trials):
            return f"hydra.sweeper.{limit}={end * 10 if limit == 'high' else end / 10:g}"
        return f"hydra.sweeper.trials={2 * self.settings.trials}"


def propose(trials: Sequence[Trial], start: float, settings: MaxLossSweeperConf) -> float | None:
    """Propose the value of the next trial; None at the end of the search.

    Args:
        trials: those that are done, in order.
        start: the first value, moved into `low`..`high`.

    Returns:
        A value from `low` to `high`; after the first trial it has three digits.
    """
    if not trials:
        return min(max(start, settings.low), settings.high)
    within = max((trial.value for trial in trials if trial.within), default=0.0)
    beyond = min((t.value for t in trials if not t.within and t.value > within), default=math.inf)
    if not within:
        value = beyond / settings.factor
    elif beyond == math.inf:
        if _flat(trials):
            return None
        value = within * settings.factor
    elif beyond <= within * settings.tolerance:
        return None
    else:
        value = math.sqrt(within * beyond)
    value = min(max(float(f"{value:.3g}"), settings.low), settings.high)
    return None if value in (trial.value for trial in trials) else value


def _flat(trials: Sequence[Trial]) -> bool:
    """Return whether the last two trials have the same speed-up, that is, most likely the same model."""
    return len(trials) > 1 and trials[-1].speedup == trials[-2].speedup


def _values(job: JobReturn) -> tuple[float, float]:
    """Return loss and speed-up of a finished job; NaN where it failed."""
    try:
        loss, speedup = job.return_value or (math.nan, math.nan)
    except Exception as error:  # what the task raised
        log.warning("a trial failed: %s", error)
        return math.nan, math.nan
    return float(loss), float(speedup)


def _points(loss: float) -> str:
    return "n/a" if math.isnan(loss) else f"{100 * loss:.2f}"
