"""Analyse a trained model: `python -m powerbert.analyse analysis=cosine artifact=<folder>`.

An analysis is a function `run(..., output)` that writes a table and a figure to a folder. Its yaml,
`conf/analysis/<name>.yaml`, names the function as `_target_` with `_partial_: true` and holds its settings.
"""

import sys
from pathlib import Path

from omegaconf import DictConfig

from powerbert.base.checks import check_artifact, check_choice, check_whole
from powerbert.base.cli import entry_point, options, quote_values


def analyse(cfg: DictConfig) -> None:
    """Run the analysis that the configuration names."""
    from hydra.utils import instantiate  # heavy imports wait until Hydra has accepted the command line

    check_whole("batch_size", cfg.batch_size)
    if "analysis" not in cfg:
        check_choice("analysis", None, options("analysis"))
    if isinstance(cfg.artifact, str):
        check_artifact(cfg.artifact)
    instantiate(cfg.analysis)(output=output_folder(cfg))


def output_folder(cfg: DictConfig) -> Path:
    """Return the folder of the files: `output`, or one named after the artifact if there is just one."""
    if cfg.output is not None:
        return Path(cfg.output)
    folder = Path(cfg.paths.runs) / "analysis"
    return folder / Path(cfg.artifact).resolve().name if isinstance(cfg.artifact, str) else folder


if __name__ == "__main__":
    sys.argv = quote_values({"text", "text_pair"}, sys.argv)
    entry_point(analyse, "analyse")
