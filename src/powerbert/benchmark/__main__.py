"""Timings of a shape or an artifact: `python -m powerbert.benchmark shape=bert_base retention=paper_rte`.

A list after a comma, `batch_size=8,32`, is one benchmark of several settings, timed in one process, and no
sweep of several runs.
"""

import sys

from omegaconf import DictConfig

from powerbert.base.cli import entry_point, list_values, quote_values

LISTS = {"retention", "length", "batch_size", "runtimes", "protocols"}
"""The keys that take several values."""


def benchmark(cfg: DictConfig) -> None:
    """Measures what the configuration asks for."""
    from powerbert.benchmark.run import run  # heavy imports wait until Hydra has accepted the command line

    run(cfg)


if __name__ == "__main__":
    sys.argv = list_values(LISTS, quote_values(set(), sys.argv, or_grammar={"artifact", "output"}))
    entry_point(benchmark, "benchmark")
