"""Exports a trained model: `python -m powerbert.export artifact=<folder> format=onnx`."""

import sys

from omegaconf import DictConfig

from powerbert.base.cli import entry_point, list_values, quote_values


def export(cfg: DictConfig) -> None:
    """Writes the files that the configuration asks for."""
    import datasets  # heavy imports wait until Hydra has accepted the command line

    from powerbert.export.run import run

    datasets.disable_progress_bars()
    run(cfg)


if __name__ == "__main__":
    sys.argv = list_values({"precision"}, quote_values(set(), sys.argv, or_grammar={"artifact", "output"}))
    entry_point(export, "export")
