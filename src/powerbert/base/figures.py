"""The shared style of figures, and their files: PNG, SVG and the table as CSV."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

log = logging.getLogger(__name__)

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"
"""Two colours that colour-blind readers can tell apart (after Okabe and Ito), and a neutral one."""

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "font.size": 10,
    "text.parse_math": False,  # keeps a "$" in a name as a character
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "powerbert",
}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of a size in inches; what the block draws has the shared style."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours for ordered things, from dark to light, all visible on white."""
    colours = matplotlib.colormaps["viridis"]
    return [colours(0.85 * index / max(count - 1, 1)) for index in range(count)]


def number_encoders(axes: Axes, count: int) -> None:
    """Label the x axis of a plot with one bar per encoder, from 1."""
    axes.set_xlabel("encoder")
    axes.set_xlim(0.4, count + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=13, integer=True, steps=[1, 2, 5, 10]))
    if count <= 12:
        axes.set_xticks(range(1, count + 1))


def save(figure: Figure, table: pd.DataFrame, output: Path, name: str) -> None:
    """Write `<name>.png`, `<name>.svg` and `<name>.csv`; equal content gives equal files.

    Args:
        figure: From `new_figure`.
        table: The numbers that the figure shows.
        output: Folder of the files, created if missing.
        name: Name of the files without suffix.
    """
    output.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure.savefig(output / f"{name}.png")
        figure.savefig(output / f"{name}.svg", metadata={"Date": None})
    table.to_csv(output / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    log.info("wrote %s (.png, .svg, .csv)", output / name)
