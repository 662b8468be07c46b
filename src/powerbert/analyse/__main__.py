"""Analyses of a trained model: `python -m powerbert.analyse analysis=cosine artifact=<folder>`.

An analysis is a function `run(..., output)` that writes its files to the folder `output`.
`conf/analysis/<name>.yaml` names it as `_target_`, with `_partial_: true`, what it is made from and its
settings.
"""

import sys
from pathlib import Path

from omegaconf import DictConfig

from powerbert.base.cli import entry_point, quote_values


def analyse(cfg: DictConfig) -> None:
    """Makes the analysis that the configuration names."""
    from hydra.utils import instantiate  # heavy imports wait until Hydra has accepted the command line

    instantiate(cfg.analysis)(output=output_folder(cfg))


def output_folder(cfg: DictConfig) -> Path:
    """Where the files go: as told, or a folder named after the one artifact that is analysed."""
    if cfg.output is not None:
        return Path(cfg.output)
    folder = Path(cfg.paths.runs) / "analysis"
    return folder / Path(cfg.artifact).resolve().name if isinstance(cfg.artifact, str) else folder


def quoted(argv: list[str]) -> list[str]:
    """Quotes texts and folders; a list of artifacts is left to Hydra's grammar."""
    return quote_values({"text", "text_pair"}, argv, or_grammar={"artifact", "records", "output"})


if __name__ == "__main__":
    sys.argv = quoted(sys.argv)
    entry_point(analyse, "analyse")
