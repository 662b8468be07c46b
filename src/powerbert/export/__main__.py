"""Export a trained model: `python -m powerbert.export artifact=<folder> format=onnx`."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from powerbert.base.checks import check_artifact
from powerbert.base.cli import entry_point, list_values


def export(cfg: DictConfig) -> None:
    """Write the files that the configuration asks for; print a table and how to use them."""
    check_artifact(cfg.artifact)
    import datasets  # heavy imports wait until Hydra has accepted the command line
    from hydra.utils import instantiate

    from powerbert.export.run import ExportSettings, run

    datasets.disable_progress_bars()
    same = "artifact format check dataset limit seed batch_size cls_alone speed threads"
    settings = ExportSettings(
        **{key: cfg[key] for key in same.split()},
        precisions=(cfg.precision,) if isinstance(cfg.precision, str) else tuple(cfg.precision or ()),
        output=None if cfg.output is None else Path(cfg.output),
        exports=Path(cfg.paths.runs) / "exports",
        measure=instantiate(cfg.measure),
    )
    run(settings)


if __name__ == "__main__":
    sys.argv = list_values({"precision"}, sys.argv)
    entry_point(export, "export")
