"""Fine-tune, search, re-train, measure: `python -m powerbert.train +experiment=rte_search lambda=0.001`."""

from datetime import UTC, datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from powerbert.base.cli import entry_point
from powerbert.run.checks import BOOKKEEPING, check
from powerbert.run.objectives import objective_values
from powerbert.run.sweeps import failures, noted_point


def train(cfg: DictConfig) -> tuple[float, ...] | None:
    """Run one point of the trade-off, print the result, and return what a sweeper asks for."""
    started = datetime.now(UTC)
    with noted_point(Path(cfg.records)) as done:
        check(cfg)
        from powerbert.report.summary import print_summary, progress_line  # heavy
        from powerbert.run.pipeline import run
        from powerbert.run.settings import resolve

        settings = resolve(cfg)
        record = run(settings)
        done(record)
    if record is None:
        return None
    if cfg.sweep_size is None:
        print_summary(record)
    else:
        number = HydraConfig.get().job.num + 1
        print(progress_line(record, number, cfg.sweep_size, started, datetime.now(UTC)), flush=True)
    return objective_values(record, settings.objectives)


if __name__ == "__main__":
    entry_point(train, "train", failures, BOOKKEEPING)
