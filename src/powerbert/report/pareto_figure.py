"""The trade-off curves as in the paper's Figure 6: metric against latency and FLOPs, one line per method."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from powerbert.base.figures import STYLE, new_figure
from powerbert.report.compare import Comparison
from powerbert.report.frame import COSTS
from powerbert.store.naming import CLS_ALONE, METHODS, Display, Record, display, packaged_display

PANELS = {
    "padded": "Padded (the paper's protocol)",
    "dynamic": "Dynamic padding (today's use)",
    "flops": "Operations",
}
"""The panels' titles."""

SHAPES = {
    "o": ("circle", "●"),
    "s": ("square", "■"),
    "^": ("triangle-up", "▲"),
    "D": ("diamond", "◆"),
    "*": ("star", "★"),
    "P": ("cross", "✚"),
    "X": ("x", "✖"),
    "v": ("triangle-down", "▼"),
    "h": ("hexagon2", "⬢"),
}
"""By matplotlib's marker: plotly's name of it, and a character."""

_INK, _SOFT = "#1C1C1C", "#6B6B6B"
_LEGEND_WIDTH = 130  # characters
_RING: Mapping[str, Any] = {
    "color": _SOFT,
    "linestyle": "none",
    "marker": "o",
    "markersize": 15,
    "markerfacecolor": "none",
    "markeredgewidth": 1.2,
    "zorder": 3,
}


class Style(NamedTuple):
    """How the points of a method look.

    Attributes:
        colour: Hexadecimal; colour-blind readers can tell the colours apart (after Okabe and Ito), on a light
            and on a dark ground.
        marker: For matplotlib; `symbol` is the same for plotly, `glyph` as a character.
        dashed: Whether the line is; it is for what is not a method by itself.
    """

    colour: str
    marker: str
    symbol: str
    glyph: str
    dashed: bool = False

    @property
    def size(self) -> int:
        """The marker's size for matplotlib."""
        return 11 if self.marker == "*" else 7


_OTHERS = [
    Style(colour, marker, *SHAPES[marker], dashed=True)
    for marker in "Pvh"
    for colour in ("#E69F00", "#56B4E9", "#8C6D46", "#882255", "#44AA99")
]


def styles(methods: Iterable[str], records: Iterable[Record] = ()) -> dict[str, Style]:
    """Choose the look of each method.

    Args:
        methods: Labels, as points have them.
        records: Whose methods may bring their own colour and marker (`display`).

    Returns:
        By label. A packaged method and one with its own colour always look the same, also with [CLS] alone,
        when it is dashed beside the method without; the others, such as combinations, take the remaining
        looks in alphabetical order.
    """
    shown = [*map(packaged_display, METHODS), *map(display, records)]
    known = {}
    for look in shown:
        if look.colour != Display.colour:
            marker = look.marker if look.marker in SHAPES else Display.marker
            known[look.label] = Style(look.colour, marker, *SHAPES[marker])
    methods = set(methods)
    for method in methods - set(known):
        same = method.removesuffix(CLS_ALONE)
        if same in known:
            known[method] = known[same]._replace(dashed=same in methods)
    taken = {(look.colour, look.marker) for look in known.values()}
    free = [look for look in _OTHERS if (look.colour, look.marker) not in taken]
    others = sorted(methods - set(known))
    return known | {method: free[number % len(free)] for number, method in enumerate(others)}


def draw(comparison: Comparison, looks: Mapping[str, Style]) -> Figure:
    """Draw the curves of a comparison in three panels side by side.

    The fine-tuned model is the cross, with a dotted line at its metric. Markers on the Pareto front are
    filled. A hollow ring surrounds a point whose timing other processes disturbed. Error bars are standard
    errors of the mean over seeds.
    """
    with new_figure(11.5, 4.6) as figure:
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06, wspace=0.03)
        panels = figure.subplots(1, len(COSTS), sharey=True)
        for axes, cost in zip(panels, COSTS, strict=True):
            _panel(axes, comparison, cost, looks)
        panels[0].set_ylabel(f"{comparison.metric_name}, %")
        figure.suptitle(comparison.title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        handles = _legend(comparison, looks)
        columns = _columns([str(handle.get_label()) for handle in handles])
        legend = figure.legend(
            handles=[handle for column in range(columns) for handle in handles[column::columns]],
            loc="outside lower left",
            ncols=columns,
            title=caption(comparison),
            title_fontsize=9,
            alignment="left",
            columnspacing=1.6,
            handlelength=2.4,
        )
        legend.get_title().set(color=_SOFT)
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `<stem>.png` and `<stem>.svg`; equal content gives equal files."""
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0])
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def caption(comparison: Comparison) -> str:
    """Say in two lines what the figure shows."""
    numbers = sorted({len(seeds) for seeds in comparison.points["seeds"]})
    count = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
    seeds = "1 seed" if count == "1" else f"mean over {count} seeds, error bars: standard error"
    return (
        f"{comparison.conditions['split']} split, {comparison.conditions['device']}; {seeds}. "
        f"Filled markers: on the Pareto front, selected on dev.\n{comparison.cls_alone}"
    )


def _panel(axes: Axes, comparison: Comparison, cost: str, looks: Mapping[str, Style]) -> None:
    baseline = comparison.baseline
    metric, error = 100 * baseline["metric"], 100 * baseline["metric_standard_error"]
    axes.axhline(metric, color=_INK, linestyle=":", linewidth=1.2, zorder=1)
    for method, points in comparison.curves().items():
        _curve(axes, points.sort_values(cost, kind="stable"), cost, looks[method])
    axes.errorbar(
        baseline[cost],
        metric,
        yerr=None if math.isnan(error) else error,
        color=_INK,
        marker="x",
        markersize=9,
        markeredgewidth=2.2,
        elinewidth=1,
        zorder=4,
    )
    axes.set_title(PANELS[cost])
    axes.set_xlabel(comparison.axis(cost))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    if cost == "flops":
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.tick_params(labelleft=True)
    axes.set_xlim(left=0)
    axes.margins(x=0.06)


def _curve(axes: Axes, points: pd.DataFrame, cost: str, look: Style) -> None:
    costs, metrics = points[cost], 100 * points["metric"]
    axes.plot(
        costs,
        metrics,
        color=look.colour,
        linestyle="--" if look.dashed else "-",
        linewidth=1.6,
        alpha=0.9,
        zorder=2,
    )
    axes.errorbar(
        costs,
        metrics,
        yerr=100 * points["metric_standard_error"].fillna(0),
        xerr=points[f"{cost}_standard_error"].fillna(0),
        color=look.colour,
        linestyle="none",
        elinewidth=1,
        alpha=0.55,
        zorder=2,
    )
    for front in (True, False):
        chosen = points[f"{cost}_front"] == front
        axes.plot(
            costs[chosen],
            metrics[chosen],
            color=look.colour,
            linestyle="none",
            marker=look.marker,
            markersize=look.size,
            markerfacecolor=look.colour if front else "white",
            markeredgewidth=1.5,
            zorder=3,
        )
    disturbed = points[f"{cost}_disturbed"].eq(True)
    axes.plot(costs[disturbed], metrics[disturbed], **_RING)


def _columns(labels: Sequence[str]) -> int:
    """Return the number of columns in which the legend fits below the panels."""
    for columns in range(len(labels), 1, -1):
        widths = [max(map(len, labels[column::columns])) + 8 for column in range(columns)]
        if sum(widths) <= _LEGEND_WIDTH:
            return columns
    return 1


def _legend(comparison: Comparison, looks: Mapping[str, Style]) -> list[Line2D]:
    cross: Any = {"color": _INK, "linestyle": ":", "marker": "x", "markersize": 8, "markeredgewidth": 2}
    handles = [Line2D([], [], label="fine-tuned model", **cross)]
    for method, points in comparison.curves().items():
        look = looks[method]
        marker: Any = {"color": look.colour, "marker": look.marker, "markersize": look.size}
        marker["linestyle"] = "none" if len(points) == 1 else "--" if look.dashed else "-"
        handles.append(Line2D([], [], label=method, **marker))
    if comparison.is_disturbed:
        handles.append(Line2D([], [], label="timing disturbed by other processes", **_RING))
    return handles
