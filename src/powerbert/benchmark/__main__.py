"""Benchmark a shape or an artifact: `python -m powerbert.benchmark shape=bert_base retention=paper_rte`.

A comma-separated list, such as `batch_size=8,32`, is one benchmark of several settings in one process, not a
sweep of several runs.
"""

import sys

from omegaconf import DictConfig

from powerbert.base.checks import check_artifact
from powerbert.base.cli import entry_point, list_values

LISTS = {"retention", "length", "batch_size", "runtimes", "protocols"}
"""Keys that take several values."""


def benchmark(cfg: DictConfig) -> None:
    """Run the benchmark."""
    if cfg.artifact is not None:
        check_artifact(cfg.artifact)
    from powerbert.benchmark.run import run  # heavy imports wait for a valid command line

    run(cfg)


if __name__ == "__main__":
    sys.argv = list_values(LISTS, sys.argv)
    entry_point(benchmark, "benchmark")
