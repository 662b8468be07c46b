"""Figure 1: the word-vectors that each encoder retains, for several runs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
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
        dataset: Name of the dataset.
        model: Name of the model.
        knob: The settings of the method, such as `{"lambda": 0.001}`.
        seed: Seed of the run.
        configuration: Word-vectors that each encoder retains.
        max_length: l, the largest number of word-vectors that enter the first encoder.
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
    """Collect the configurations and write `retention.csv`, `.png` and `.svg`.

    Args:
        output: Folder of the files.
        artifacts: Folders of re-trained models.
        records: A folder of records; those without a retention configuration are left out.

    Returns:
        One row per run and encoder: `run`, counted from 1, `dataset`, `model`, `setting`, `encoder`,
        `retained` and `max_length`.

    Raises:
        ConfigError: Unless exactly one of artifacts and records is given.
        DataError: If no record has a retention configuration.
        ModelError: If an artifact has none.
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
    """Return the runs of the records that have a retention configuration, sorted by their settings."""
    fields = ("dataset", "model", "knob", "seed", "retention_configuration", "max_length")
    runs = [
        Run(*(record[field] for field in fields))
        for record in read_records(folder)
        if record["retention_configuration"] is not None
    ]
    if not runs:
        raise DataError(f"{folder}: no record in this folder has a retention configuration")
    return sorted(runs, key=lambda one: (one.dataset, one.model, sorted(one.knob.items()), one.seed))


def run_of_artifact(folder: Path) -> Run:
    """Return the run that an artifact came from; ModelError if it has no retention configuration."""
    manifest = Artifact.load(folder).manifest
    configuration = PreTrainedConfig.get_config_dict(folder)[0].get("retention_configuration")
    if configuration is None:
        raise ModelError(f"{folder}: this artifact has no retention configuration; give a re-trained model")
    config = manifest["config"]
    searched = config["elimination"]["retention_configuration"] is None
    knob = {"lambda": config["lambda"]} if searched else {}
    names = config["dataset"]["name"], config["model"]["name"]
    return Run(*names, knob, config["seed"], configuration, manifest["max_length"])


def tabulate(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the table of `run`."""
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
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, one in zip(panels.flat, runs, strict=False):
            _draw_panel(axes, one)
            axes.set_ylim(0, 1.12 * max(other.max_length for other in runs))
        for axes in panels.flat[len(runs) :]:
            axes.set_axis_off()
        for axes in panels[:, 0]:
            axes.set_ylabel("word-vectors retained")
    return figure


def _draw_panel(axes: Axes, one: Run) -> None:
    axes.set_title(one.label)
    bars = axes.bar(range(1, len(one.configuration) + 1), one.configuration, width=0.7, color=BLUE)
    axes.bar_label(bars, fontsize=8, padding=1, path_effects=[withStroke(linewidth=2, foreground="white")])
    axes.axhline(one.max_length, color=ORANGE, linestyle="--", linewidth=1)
    axes.annotate(
        f"\N{SCRIPT SMALL L} = {one.max_length}",
        (1, one.max_length),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        horizontalalignment="right",
        color=ORANGE,
        fontsize=8,
    )
    number_encoders(axes, len(one.configuration))
