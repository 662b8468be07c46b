"""Fine-tune, search, re-train, measure: `python -m powerbert.train +experiment=rte_search lambda=0.001`."""

from omegaconf import DictConfig

from powerbert.cli import entry_point


def train(cfg: DictConfig) -> tuple[float, ...] | None:
    """Runs one point of the trade-off, prints what came out, and returns what a sweeper asks for."""
    from powerbert.config import check  # heavy imports wait until Hydra has accepted the command line
    from powerbert.objectives import objective_values
    from powerbert.pipeline import run
    from powerbert.report.table import print_summary

    check(cfg)
    record = run(cfg)
    if record is None:
        return None
    print_summary(record)
    return objective_values(record, cfg.get("objectives", ()))


if __name__ == "__main__":
    entry_point(train, "train")
