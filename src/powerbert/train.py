"""Fine-tune, search, re-train, measure: `python -m powerbert.train +experiment=rte_search lambda=0.001`."""

from datetime import UTC, datetime

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from powerbert.base.cli import entry_point


def train(cfg: DictConfig) -> tuple[float, ...] | None:
    """Runs one point of the trade-off, prints what came out, and returns what a sweeper asks for."""
    from powerbert.report.progress import progress_line
    from powerbert.report.table import print_summary
    from powerbert.run.objectives import check_objectives, objective_values
    from powerbert.run.pipeline import run
    from powerbert.run.settings import check  # heavy imports wait until Hydra has accepted the command line
    from powerbert.run.sweeps import noted_point

    started = datetime.now(UTC)
    with noted_point(cfg) as done:
        check(cfg)
        check_objectives(cfg.get("objectives", ()))
        record = run(cfg)
        done(record)
    if record is None:
        return None
    if cfg.sweep_size is None:
        print_summary(record)
    else:
        number = HydraConfig.get().job.num + 1
        print(progress_line(record, number, cfg.sweep_size, started, datetime.now(UTC)), flush=True)
    return objective_values(record, cfg.get("objectives", ()))


if __name__ == "__main__":
    from powerbert.run.sweeps import failures

    entry_point(train, "train", failures)
