"""A figure of the speed-ups: one panel per protocol and length, batch sizes along the axis."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from powerbert.base.figures import new_figure
from powerbert.benchmark.contestants import RUNTIMES, Contestant
from powerbert.benchmark.inputs import PROTOCOLS

_INK = "#1C1C1C"
_LEGEND_WIDTH = 2.1  # inches per column
_TITLE_CHARACTERS = 9  # per inch
_PROTOCOL_TITLES = {"padded": "padded", "dynamic": "dynamic padding", "full": "full, no mask"}


def tabulate(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one line per row of forward passes, with the contestant's label."""
    return pd.DataFrame(
        [{"contestant": Contestant(row["role"], row["runtime"]).label, **row} for row in rows]
    )


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw the speed-up over the host with sdpa, with quartiles over the runs as error bars.

    The host's markers are hollow and its lines dashed; PoWER-BERT's are filled and solid. The dotted line is
    the ratio of operations.

    Args:
        table: A table of `tabulate`, with at least one line.
        title: Title of the figure.
    """
    protocols = [name for name in PROTOCOLS if name in set(table["protocol"])]
    columns = list(table.groupby(["retention", "length"], sort=False).groups)
    sizes = sorted(set(table["batch_size"]))
    shown = [Contestant(*pair) for pair in table.groupby(["role", "runtime"], sort=False).groups]
    width = max(2.6 * len(columns) + 0.8, 6.4)
    with new_figure(width, 2.6 * len(protocols) + 1.6) as figure:
        panels = figure.subplots(len(protocols), len(columns), squeeze=False, sharey="row")
        for line, protocol in zip(panels, protocols, strict=True):
            for axes, (retention, length) in zip(line, columns, strict=True):
                cell = table[
                    (table["protocol"] == protocol)
                    & (table["retention"] == retention)
                    & (table["length"] == length)
                ]
                _panel(axes, cell, shown, sizes)
                axes.set_title(f"{retention}, length {length}\n{_PROTOCOL_TITLES[protocol]}", fontsize=9)
            line[0].set_ylim(bottom=0)  # last, because it stops the shared axis from growing
            line[0].set_ylabel("speed-up over host, sdpa")
        for axes in panels[-1]:
            axes.set_xlabel("batch size")
        title = fill(title, int(width * _TITLE_CHARACTERS))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        legend = [Line2D([], [], label=one.label, **_look(one)) for one in shown]
        legend.append(Line2D([], [], color=_INK, linestyle=":", label="FLOPs ratio"))
        figure.legend(handles=legend, loc="outside lower left", ncols=int(width / _LEGEND_WIDTH), fontsize=9)
    return figure


def _panel(axes: Axes, cell: pd.DataFrame, shown: Sequence[Contestant], sizes: Sequence[int]) -> None:
    axes.axhline(1, color=_INK, linewidth=0.8)
    width = 0.4 / len(shown)
    for number, one in enumerate(shown):
        own = cell[(cell["role"] == one.role) & (cell["runtime"] == one.runtime)]
        places = [sizes.index(size) + width * (number - (len(shown) - 1) / 2) for size in own["batch_size"]]
        errors = [own["speedup"] - own["speedup_lower"], own["speedup_upper"] - own["speedup"]]
        axes.errorbar(places, own["speedup"], yerr=errors, elinewidth=1, **_look(one))
    power = cell[cell["role"] == "power"]
    for size, ratio in zip(power["batch_size"], power["flops_ratio"], strict=True):
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
