"""A figure of the speed-ups: one panel per protocol and length, batch sizes along the axis."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from powerbert.base.figures import new_figure
from powerbert.benchmark.contestants import RUNTIMES, Contestant
from powerbert.benchmark.inputs import PROTOCOLS
from powerbert.benchmark.results import Inference

_INK = "#1C1C1C"
_LEGEND_WIDTH = 2.1  # inches per column
_TITLE_CHARACTERS = 9  # per inch
_PROTOCOL_TITLES = {"padded": "padded", "dynamic": "dynamic padding", "full": "full, no mask"}


def draw(rows: Sequence[Inference], title: str) -> Figure:
    """Draw the speed-up over the host with sdpa, with quartiles over the runs as error bars.

    The host's markers are hollow and its lines dashed; PoWER-BERT's are filled and solid. The dotted line is
    the ratio of operations.

    Args:
        rows: At least one.
        title: Title of the figure.
    """
    protocols = [name for name in PROTOCOLS if any(row.protocol == name for row in rows)]
    columns = list(dict.fromkeys((row.retention, row.length) for row in rows))
    sizes = sorted({row.batch_size for row in rows})
    shown = list(dict.fromkeys(row.contestant for row in rows))
    width = max(2.6 * len(columns) + 0.8, 6.4)
    with new_figure(width, 2.6 * len(protocols) + 1.6) as figure:
        panels = figure.subplots(len(protocols), len(columns), squeeze=False, sharey="row")
        for line, protocol in zip(panels, protocols, strict=True):
            for axes, (retention, length) in zip(line, columns, strict=True):
                cell = [
                    row
                    for row in rows
                    if (row.protocol, row.retention, row.length) == (protocol, retention, length)
                ]
                _panel(axes, cell, shown, sizes)
                axes.set_title(f"{retention}, length {length}\n{_PROTOCOL_TITLES[protocol]}", fontsize=9)
            line[0].set_ylim(bottom=0)  # last, because it stops the shared axis from growing
            line[0].set_ylabel("speed-up over host, sdpa")
        for axes in panels[-1]:
            axes.set_xlabel("batch size")
        title = fill(title, int(width * _TITLE_CHARACTERS))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.legend(
            handles=_legend(shown), loc="outside lower left", ncols=int(width / _LEGEND_WIDTH), fontsize=9
        )
    return figure


def tabulate(rows: Sequence[Inference]) -> pd.DataFrame:
    """Return one line per result, with the contestant's label."""
    return pd.DataFrame([{"contestant": row.contestant.label, **vars(row)} for row in rows])


def _panel(axes: Axes, rows: Sequence[Inference], shown: Sequence[Contestant], sizes: Sequence[int]) -> None:
    axes.axhline(1, color=_INK, linewidth=0.8)
    width = 0.4 / len(shown)
    for number, contestant in enumerate(shown):
        own = [row for row in rows if row.contestant == contestant]
        places = [sizes.index(row.batch_size) + width * (number - (len(shown) - 1) / 2) for row in own]
        speedups = [row.speedup for row in own]
        errors = [
            [row.speedup - row.speedup_lower for row in own],
            [row.speedup_upper - row.speedup for row in own],
        ]
        axes.errorbar(places, speedups, yerr=errors, elinewidth=1, **_look(contestant))
    power = [row for row in rows if row.role == "power"]
    for size, ratio in {row.batch_size: row.flops_ratio for row in power}.items():
        place = sizes.index(size)
        axes.hlines(ratio, place - 0.4, place + 0.4, color=_INK, linestyle=":", linewidth=1.3)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_xlim(-0.5, len(sizes) - 0.5)


def _look(contestant: Contestant) -> dict[str, Any]:
    colour, power = RUNTIMES[contestant.runtime].colour, contestant.role == "power"
    return {
        "color": colour,
        "marker": "o" if power else "s",
        "markersize": 5,
        "markerfacecolor": colour if power else "white",
        "linestyle": "-" if power else "--",
        "linewidth": 1.2,
    }


def _legend(shown: Sequence[Contestant]) -> list[Line2D]:
    handles = [Line2D([], [], label=one.label, **_look(one)) for one in shown]
    return [*handles, Line2D([], [], color=_INK, linestyle=":", label="FLOPs ratio")]
