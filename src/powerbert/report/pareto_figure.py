"""The trade-off curves as in the paper's Figure 6: metric against latency and FLOPs, one line a method."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from powerbert.base.figures import STYLE, new_figure
from powerbert.report.curves import COSTS, Comparison, Cost, Point
from powerbert.report.front import fronts
from powerbert.report.pareto_style import Style

PANELS: Mapping[Cost, str] = {
    "padded": "Padded (the paper's protocol)",
    "dynamic": "Dynamic padding (today's use)",
    "flops": "Operations",
}
"""What the three panels show."""

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


def draw(comparison: Comparison, looks: Mapping[str, Style]) -> Figure:
    """Draws a data set's curves in three panels side by side.

    The fine-tuned model is the cross, with a dotted line at its metric. Markers of points that no other
    one beats are filled. A hollow ring is around a point whose timing other processes disturbed. Error bars
    are standard errors of the mean over seeds.

    Args:
        comparison: what to draw.
        looks: of each method, see `pareto_style.styles`.

    Returns:
        The figure, not yet written.
    """
    front = fronts(comparison)
    with new_figure(11.5, 4.6) as figure:
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06, wspace=0.03)
        panels = figure.subplots(1, len(COSTS), sharey=True)
        for axes, cost in zip(panels, COSTS, strict=True):
            _panel(axes, comparison, cost, front[cost], looks)
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
    """Writes `<stem>.png` and `<stem>.svg`; equal content gives equal files.

    Args:
        figure: from `draw`.
        stem: the files' path without its ending; the folder must exist.
    """
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0])
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def caption(comparison: Comparison) -> str:
    """What the figure shows, in a line."""
    numbers = sorted({len(point.seeds) for point in comparison.points})
    count = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
    seeds = "1 seed" if count == "1" else f"mean over {count} seeds, error bars: standard error"
    return (
        f"{comparison.conditions.split} split, {comparison.conditions.device}; {seeds}. "
        "Filled markers: on the Pareto front, selected on dev"
    )


def _panel(
    axes: Axes, comparison: Comparison, cost: Cost, front: Set[Point], looks: Mapping[str, Style]
) -> None:
    baseline = comparison.baseline
    axes.axhline(100 * baseline.metric.mean, color=_INK, linestyle=":", linewidth=1.2, zorder=1)
    for method, points in comparison.curves().items():
        _curve(axes, sorted(points, key=lambda point: point.cost[cost]), cost, front, looks[method])
    axes.errorbar(
        baseline.cost[cost],
        100 * baseline.metric.mean,
        yerr=None if baseline.metric.error is None else 100 * baseline.metric.error,
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


def _curve(axes: Axes, points: Sequence[Point], cost: Cost, front: Set[Point], look: Style) -> None:
    costs = [point.cost[cost] for point in points]
    metrics = [100 * point.metric.mean for point in points]
    line = "--" if look.dashed else "-"
    axes.plot(costs, metrics, color=look.colour, linestyle=line, linewidth=1.6, alpha=0.9, zorder=2)
    axes.errorbar(
        costs,
        metrics,
        yerr=[100 * (point.metric.error or 0) for point in points],
        xerr=[cost_error(point, cost) or 0 for point in points],
        color=look.colour,
        linestyle="none",
        elinewidth=1,
        alpha=0.55,
        zorder=2,
    )
    for filled in (True, False):
        chosen = [number for number, point in enumerate(points) if (point in front) is filled]
        axes.plot(
            [costs[number] for number in chosen],
            [metrics[number] for number in chosen],
            color=look.colour,
            linestyle="none",
            marker=look.marker,
            markersize=11 if look.marker == "*" else 7,
            markerfacecolor=look.colour if filled else "white",
            markeredgewidth=1.5,
            zorder=3,
        )
    rings = [number for number, point in enumerate(points) if point.is_disturbed(cost)]
    axes.plot([costs[number] for number in rings], [metrics[number] for number in rings], **_RING)


def cost_error(point: Point, cost: Cost) -> float | None:
    """The standard error of `Point.cost`, to first order that of the speed-up; None for a single seed."""
    speedup = point.speedup[cost]
    return None if speedup.error is None else point.cost[cost] * speedup.error / speedup.mean


def _columns(labels: Sequence[str]) -> int:
    """Into how many columns the legend's rows fit below the panels."""
    for columns in range(len(labels), 1, -1):
        widths = [max(map(len, labels[column::columns])) + 8 for column in range(columns)]
        if sum(widths) <= _LEGEND_WIDTH:
            return columns
    return 1


def _legend(comparison: Comparison, looks: Mapping[str, Style]) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            color=looks[method].colour,
            linestyle="none" if len(points) == 1 else "--" if looks[method].dashed else "-",
            marker=looks[method].marker,
            markersize=11 if looks[method].marker == "*" else 7,
            label=method,
        )
        for method, points in comparison.curves().items()
    ]
    cross = Line2D(
        [],
        [],
        color=_INK,
        linestyle=":",
        marker="x",
        markersize=8,
        markeredgewidth=2,
        label="fine-tuned model",
    )
    rings = [Line2D([], [], label="timing disturbed by other processes", **_RING)]
    return [cross, *handles, *(rings if comparison.is_disturbed else [])]
