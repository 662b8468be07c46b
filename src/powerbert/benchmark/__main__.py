"""Timings of a shape or an artifact: `python -m powerbert.benchmark shape=bert_base retention=paper_rte`.

A list after a comma, `batch_size=8,32`, is one benchmark of several settings, timed in one process, and no
sweep of several runs.
"""

import sys

from omegaconf import DictConfig

from powerbert.cli import entry_point, quote_values

LISTS = frozenset({"retention", "length", "batch_size", "runtimes", "protocols"})
"""The keys that take several values."""


def benchmark(cfg: DictConfig) -> None:
    """Measures what the configuration asks for."""
    from powerbert.benchmark.run import run  # heavy imports wait until Hydra has accepted the command line

    run(cfg)


def list_values(names: frozenset[str], argv: list[str]) -> list[str]:
    """Turns `key=a,b` into `key=[a,b]`: Hydra would take the former for a sweep.

    Args:
        names: the keys that take several values.
        argv: the command line's arguments.

    Returns:
        The arguments with those values as lists; a value that is a list already, or but one, stays.
    """
    listed = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        several = key in names and "," in value and not value.startswith("[")
        listed.append(f"{key}{equals}[{value}]" if several else argument)
    return listed


if __name__ == "__main__":
    sys.argv = list_values(LISTS, quote_values(set(), sys.argv, or_grammar={"artifact", "output"}))
    entry_point(benchmark, "benchmark")
