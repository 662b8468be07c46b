"""Figure 1: how many word-vectors each encoder retains, for several runs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from transformers import PreTrainedConfig

from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.base.figures import BLUE, ORANGE, new_figure, number_encoders, save
from powerbert.store.artifacts import Artifact
from powerbert.store.records import read_records

PANELS_PER_ROW = 3


@dataclass(frozen=True)
class Run:
    """A run that ended in a retention configuration.

    Attributes:
        dataset: its name.
        model: its name.
        knob: what was set, such as `{"lambda": 0.001}`.
        seed: of the run.
        configuration: word-vectors that each encoder retains.
        max_length: l, the word-vectors that enter the first encoder at most.
    """

    dataset: str
    model: str
    knob: Mapping[str, Any]
    seed: int
    configuration: Sequence[int]
    max_length: int

    @property
    def setting(self) -> str:
        """Knob and seed for people."""
        knob = {"λ" if name == "lambda" else name: value for name, value in self.knob.items()}
        return ", ".join([*(f"{name} = {value:g}" for name, value in knob.items()), f"seed {self.seed}"])

    @property
    def label(self) -> str:
        """The run for people, in two lines."""
        return f"{self.dataset}, {self.model}\n{self.setting}"


def run(
    output: Path, artifacts: str | Sequence[str] | None = None, records: str | None = None
) -> pd.DataFrame:
    """Collects the configurations and writes `retention.csv`, `.png` and `.svg`.

    Args:
        output: the folder for the files.
        artifacts: folder of a re-trained model, or several.
        records: a folder of records; those without a retention configuration are left out.

    Returns:
        The table, one row per run and encoder: `run`, counted from 1, `dataset`, `model`, `setting`,
        `encoder`, `retained` and `max_length`.

    Raises:
        ConfigError: unless either artifacts or records are given.
        DataError: if no record has a retention configuration.
        ModelError: if an artifact has none.
    """
    if (artifacts is None) == (records is None):
        raise ConfigError(
            "artifact, records: give one of them, artifact=[<folder>,<folder>] or records=<folder>"
        )
    if records is not None:
        runs = runs_of_records(Path(records))
    else:
        folders = [artifacts] if isinstance(artifacts, str) else list(artifacts or ())
        runs = [run_of_artifact(Path(folder)) for folder in folders]
    table = tabulate(runs)
    save(_draw(runs), table, output, "retention")
    return table


def runs_of_records(folder: Path) -> list[Run]:
    """The runs of a folder of records that have a retention configuration, sorted by what was set.

    Raises:
        DataError: if there is none.
    """
    runs = [
        Run(
            record["dataset"],
            record["model"],
            record["knob"],
            record["seed"],
            record["retention_configuration"],
            record["max_length"],
        )
        for record in read_records(folder)
        if record["retention_configuration"] is not None
    ]
    if not runs:
        raise DataError(f"{folder}: no record in this folder has a retention configuration")
    return sorted(runs, key=lambda one: (one.dataset, one.model, sorted(one.knob.items()), one.seed))


def run_of_artifact(folder: Path) -> Run:
    """The run that an artifact with extract layers came from.

    Raises:
        ModelError: if the folder is no artifact, or has no retention configuration.
    """
    manifest = Artifact.load(folder).manifest
    configuration = PreTrainedConfig.get_config_dict(folder)[0].get("retention_configuration")
    if configuration is None:
        raise ModelError(f"{folder}: this artifact has no retention configuration; give a re-trained model")
    config = manifest["config"]
    searched = config["elimination"]["retention_configuration"] is None
    return Run(
        config["dataset"]["name"],
        config["model"]["name"],
        {"lambda": config["lambda"]} if searched else {},
        config["seed"],
        configuration,
        manifest["max_length"],
    )


def tabulate(runs: Sequence[Run]) -> pd.DataFrame:
    """The table of `run`."""
    rows = [
        {
            "run": number,
            "dataset": one.dataset,
            "model": one.model,
            "setting": one.setting,
            "encoder": encoder,
            "retained": retained,
            "max_length": one.max_length,
        }
        for number, one in enumerate(runs, start=1)
        for encoder, retained in enumerate(one.configuration, start=1)
    ]
    return pd.DataFrame(rows)


def _draw(runs: Sequence[Run]) -> Figure:
    across = min(len(runs), PANELS_PER_ROW)
    down = -(-len(runs) // across)
    encoders = max(len(one.configuration) for one in runs)
    with new_figure(across * max(3, 0.3 * encoders + 0.6), 2.7 * down) as figure:
        panels = figure.subplots(down, across, sharey=True, squeeze=False).flatten()
        for axes, one in zip(panels, runs, strict=False):
            axes.set_title(one.label)
            bars = axes.bar(range(1, len(one.configuration) + 1), one.configuration, width=0.7, color=BLUE)
            axes.bar_label(
                bars, fontsize=8, padding=1, path_effects=[withStroke(linewidth=2, foreground="white")]
            )
            axes.axhline(one.max_length, color=ORANGE, linestyle="--", linewidth=1)
            axes.annotate(
                rf"$\ell$ = {one.max_length}",
                (1, one.max_length),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                horizontalalignment="right",
                color=ORANGE,
                fontsize=8,
            )
            axes.set_ylim(0, 1.12 * max(other.max_length for other in runs))
            number_encoders(axes, len(one.configuration))
        for axes in panels[len(runs) :]:
            axes.set_axis_off()
        for row in range(down):
            panels[row * across].set_ylabel("word-vectors retained")
    return figure
