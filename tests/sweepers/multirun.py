"""A multirun of the real configuration with a task of the test's, in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from powerbert.base.cli import CONFIG_FOLDER

SILENT = ("hydra/job_logging=none", "hydra/hydra_logging=none")
"""Leaves the logging of the tests' own process alone."""


def multirun(
    runs: Path, *overrides: str, task: Callable[[DictConfig], Any] = lambda _: None
) -> list[list[str]]:
    """Sweeps as the command line would.

    Args:
        runs: folder for all output.
        overrides: the command line's.
        task: called with the configuration of each job.

    Returns:
        For each job in order, the overrides that it has beyond the command line's fixed ones.
    """
    fixed = [f"paths.runs={runs}", *overrides]
    jobs = []

    def noted(cfg: DictConfig) -> Any:
        jobs.append([argument for argument in HydraConfig.get().overrides.task if argument not in fixed])
        return task(cfg)

    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        hydra.multirun("train", noted, [*SILENT, *fixed], with_log_configuration=False)
    return jobs
