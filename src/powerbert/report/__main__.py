"""Reports from records: `python -m powerbert.report report=table1 records=<folder>`.

A report is a function of the records and of the folder for its files. `conf/report/<name>.yaml` names it
as `_target_`, with `_partial_: true` and its settings.
"""

from pathlib import Path

from omegaconf import DictConfig

from powerbert.base.cli import entry_point


def report(cfg: DictConfig) -> None:
    """Make the report that the configuration names."""
    from hydra.utils import instantiate  # heavy imports wait until Hydra has accepted the command line

    from powerbert.store.records import read_records

    records = read_records(cfg.records)
    instantiate(cfg.report)(records, output=None if cfg.output is None else Path(cfg.output))


if __name__ == "__main__":
    entry_point(report, "report")
