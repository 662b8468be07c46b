"""Figure 1: the word-vectors that each encoder retains, for several runs side by side."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from transformers import PreTrainedConfig

from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.base.figures import BLUE, ORANGE, new_figure, number_encoders, save
from powerbert.elimination import retained_by_encoder
from powerbert.store.artifacts import Artifact
from powerbert.store.records import read_records

PANELS_PER_ROW = 3


def run(
    output: Path, artifacts: str | Sequence[str] | None = None, records: str | None = None
) -> pd.DataFrame:
    """Collect the configurations and write `retention.csv`, `.png` and `.svg` to the folder `output`.

    Args:
        artifacts: Folders of re-trained models.
        records: A folder of records; those without a retention configuration or shares are left out.

    Returns:
        One row per run and encoder: `run`, counted from 1, `dataset`, `model`, `setting`, `encoder`,
        `retained` (of an input of `max_length`), `max_length`, and `share`, NaN where counts are given.

    Raises:
        ConfigError: Unless exactly one of artifacts and records is given.
        DataError: If no record has a retention configuration.
        ModelError: If an artifact has none.
    """
    if (artifacts is None) == (records is None) or artifacts == []:
        raise ConfigError(
            "artifact, records: give one of them, artifact=[<folder>,<folder>] or records=<folder>"
        )
    if records is not None:
        table = tabulate(_runs_of_records(Path(records)))
    else:
        folders = [artifacts] if isinstance(artifacts, str) else list(artifacts or ())
        table = tabulate(_run_of_artifact(Path(folder)) for folder in folders)
    save(_draw(table), table, output, "retention")
    return table


def tabulate(runs: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the table of `run` from the fields of records."""
    rows = [
        {
            "run": number,
            "dataset": one["dataset"],
            "model": one["model"],
            "setting": _setting(one["knob"], one["seed"]),
            "encoder": encoder,
            "retained": retained,
            "max_length": one["max_length"],
            "share": math.nan if share is None else share,
        }
        for number, one in enumerate(runs, start=1)
        for encoder, (retained, share) in enumerate(_retained(one), start=1)
    ]
    return pd.DataFrame(rows)


def _retained(one: Mapping[str, Any]) -> list[tuple[int, float | None]]:
    """Return what each encoder retains of an input of the maximum length, with its share of one that has."""
    given = one.get("retention_shares") or one["retention_configuration"]
    retained = retained_by_encoder(one, len(given), one["max_length"])
    shares = one.get("retention_shares") or [None] * len(given)
    return list(zip(retained, shares, strict=True))


def _runs_of_records(folder: Path) -> list[dict[str, Any]]:
    """Return the records that have a retention configuration or shares, sorted by their settings."""
    runs = [
        record
        for record in read_records(folder)
        if record["retention_configuration"] is not None or record.get("retention_shares") is not None
    ]
    if not runs:
        raise DataError(f"{folder}: no record in this folder has a retention configuration")
    return sorted(runs, key=lambda r: (r["dataset"], r["model"], sorted(r["knob"].items()), r["seed"]))


def _run_of_artifact(folder: Path) -> dict[str, Any]:
    """Return the fields of the record that an artifact's run wrote, as far as the table needs them."""
    manifest = Artifact.load(folder).manifest
    own = PreTrainedConfig.get_config_dict(folder)[0]
    retention = {key: own.get(key) for key in ("retention_configuration", "retention_shares", "cls_alone")}
    if retention["retention_configuration"] is None and retention["retention_shares"] is None:
        raise ModelError(f"{folder}: this artifact has no retention configuration; give a re-trained model")
    config = manifest["config"]
    searched = config["elimination"]["retention_configuration"] is None
    knob = "lambda" if config.get("target_speedup") is None else "target_speedup"
    return {
        "dataset": config["dataset"]["name"],
        "model": config["model"]["name"],
        "knob": {knob: config[knob]} if searched else {},
        "seed": config["seed"],
        **retention,
        "max_length": manifest["max_length"],
    }


def _setting(knob: Mapping[str, Any], seed: int) -> str:
    """Return knob and seed for people."""
    values = [f"{'λ' if name == 'lambda' else name} = {value:g}" for name, value in knob.items()]
    return ", ".join([*values, f"seed {seed}"])


def _draw(table: pd.DataFrame) -> Figure:
    runs = [rows for _, rows in table.groupby("run")]
    across = min(len(runs), PANELS_PER_ROW)
    down = -(-len(runs) // across)
    of_longest = " of \N{SCRIPT SMALL L}" if table["share"].notna().any() else ""
    width = max(3, 0.3 * table["encoder"].max() + 0.6)
    with new_figure(across * width, 2.7 * down) as figure:
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, rows in zip(panels.flat, runs, strict=False):
            _draw_panel(axes, rows)
            axes.set_ylim(0, 1.12 * table["max_length"].max())
        for axes in panels.flat[len(runs) :]:
            axes.set_axis_off()
        for axes in panels[:, 0]:
            axes.set_ylabel(f"word-vectors retained{of_longest}")
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    one = rows.iloc[0]
    axes.set_title(f"{one['dataset']}, {one['model']}\n{one['setting']}")
    bars = axes.bar(rows["encoder"], rows["retained"], width=0.7, color=BLUE)
    shares = rows["share"]
    labels = None if shares.isna().all() else [f"{share:.2f}" for share in shares]
    axes.bar_label(
        bars, labels, fontsize=8, padding=1, path_effects=[withStroke(linewidth=2, foreground="white")]
    )
    axes.axhline(one["max_length"], color=ORANGE, linestyle="--", linewidth=1)
    axes.annotate(
        f"\N{SCRIPT SMALL L} = {one['max_length']}",
        (1, one["max_length"]),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        horizontalalignment="right",
        color=ORANGE,
        fontsize=8,
    )
    number_encoders(axes, len(rows))
