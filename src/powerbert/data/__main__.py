"""Describe a dataset as a training would find it: `python -m powerbert.data dataset=folder ...`."""

import sys

from omegaconf import DictConfig

from powerbert.base.cli import entry_point


def describe(cfg: DictConfig) -> None:
    """Read and tokenise a dataset and print its report."""
    import datasets  # heavy imports wait until the configuration is valid
    from hydra.utils import instantiate

    from powerbert.data.batching import TextDataModule
    from powerbert.data.task import Task

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    source = instantiate(cfg.dataset.source)
    Task.from_config(cfg.dataset)
    source.available()
    task = Task.from_config(cfg.dataset, source)
    TextDataModule(source, task, instantiate(cfg.tokenizer), batch_size=1, seed=0).setup()


if __name__ == "__main__":
    entry_point(describe, "data")
