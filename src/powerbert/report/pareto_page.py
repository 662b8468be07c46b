"""The page of `report=pareto`: one HTML file that needs no other and no network.

Names in the interactive plots are text: plotly would take `<b>` in a name for markup.
"""

import json
from collections.abc import Mapping, Sequence, Set
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from powerbert.base.files import output_file
from powerbert.report import pareto_tables
from powerbert.report.curves import COSTS, Comparison, Cost, Point
from powerbert.report.front import MethodSummary, fronts
from powerbert.report.pareto_figure import PANELS, caption, cost_error
from powerbert.report.pareto_style import Style
from powerbert.report.pareto_tables import amount, change, percent, sign, times
from powerbert.report.points import Spread
from powerbert.report.table import DISTURBED
from powerbert.store.facts import facts


def write_page(
    path: Path,
    comparisons: Sequence[Comparison],
    summaries: Sequence[Sequence[MethodSummary]],
    looks: Mapping[str, Style],
    *,
    tolerance: float,
    margin: float,
) -> None:
    """Writes the page. Whatever the records hold is text on it, never markup.

    Args:
        path: the file, which is replaced.
        comparisons: to show, one below the other.
        summaries: from `front.summarise`, for each comparison.
        looks: of each method, see `pareto_style.styles`.
        tolerance: that the summaries were made with.
        margin: that the summaries were made with.
    """
    environment = Environment(
        loader=PackageLoader("powerbert.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "costs": COSTS,
        "names": pareto_tables.NAMES,
        "panels": PANELS,
        "caption": caption,
        "percent": pareto_tables.percent,
        "change": pareto_tables.change,
        "amount": pareto_tables.amount,
        "times": pareto_tables.times,
        "sign": pareto_tables.sign,
        "epochs": pareto_tables.epochs,
    }
    page = environment.get_template("pareto.html.jinja").render(
        sections=[
            {
                "comparison": comparison,
                "summaries": of_methods,
                "front": fronts(comparison),
                "disturbed": comparison.is_disturbed,
                "places": {point: place for place, point in enumerate(comparison.points)},
            }
            for comparison, of_methods in zip(comparisons, summaries, strict=True)
        ],
        looks=looks,
        tolerance=tolerance,
        margin=margin,
        records=sum(len(point.records) for one in comparisons for point in one.points),
        data=[
            {
                "plots": [plot(comparison, cost, looks) for cost in COSTS],
                "points": [_details(point) for point in comparison.points],
            }
            for comparison in comparisons
        ],
        plotly=Markup(get_plotlyjs()),
    )
    with output_file(path) as file:
        file.write(page)


def _details(point: Point) -> dict[str, Any]:
    """What the page shows of a point's records: a line for each fact, with a value for each record."""
    of_records = [dict(facts(record)) for record in point.records]
    names = dict.fromkeys(name for one in of_records for name in one)
    return {
        "title": point.label,
        "facts": [[name, [one.get(name, "n/a") for one in of_records]] for name in names],
    }


def plot(comparison: Comparison, cost: Cost, looks: Mapping[str, Style]) -> dict[str, Any]:
    """Draws a data set's curves against one cost.

    Args:
        comparison: what to draw.
        cost: the x axis.
        looks: of each method, see `pareto_style.styles`.

    Returns:
        Plotly's JSON: a trace for each of the comparison's curves in their order, then the fine-tuned model,
        then an empty one for the point that a reader selects. `customdata` holds the points' places in
        `comparison.points`, `meta` which of them are on the front. Colours of the ground and of what
        is neutral are left to the page.
    """
    front = fronts(comparison)[cost]
    places = {point: place for place, point in enumerate(comparison.points)}
    figure = go.Figure(layout=_layout(comparison, cost))
    for method, points in comparison.curves().items():
        ordered = sorted(points, key=lambda point: point.cost[cost])
        figure.add_trace(_curve(comparison, cost, ordered, looks[method], places, front))
    baseline = comparison.baseline
    figure.add_trace(
        go.Scatter(
            x=[baseline.cost[cost]],
            y=[100 * baseline.metric.mean],
            error_y=_bars([100 * (baseline.metric.error or 0)]),
            mode="markers",
            marker={"symbol": "x-thin", "size": 11, "line": {"width": 2.5}},
            hoverinfo="text",
            hovertext=[f"<b>fine-tuned model</b><br>{_metric(comparison, baseline.metric)}"],
            cliponaxis=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[],
            y=[],
            mode="markers",
            marker={"symbol": "circle-open", "size": 19, "line": {"width": 2}},
            hoverinfo="skip",
            cliponaxis=False,
        )
    )
    result: dict[str, Any] = json.loads(figure.to_json())
    return result


def _layout(comparison: Comparison, cost: Cost) -> go.Layout:
    metric = 100 * comparison.baseline.metric.mean
    axis = {"automargin": True, "ticks": "outside", "zeroline": False, "showline": True}
    return go.Layout(
        template=go.layout.Template(),
        showlegend=False,
        hovermode="closest",
        hoverlabel={"align": "left"},
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        xaxis=axis
        | {
            "title": _title(comparison.axis(cost)),
            "rangemode": "tozero",
            "showgrid": False,
            "exponentformat": "SI",
        },
        yaxis=axis | {"title": _title(f"{comparison.metric_name}, %"), "showline": False, "ticks": ""},
        shapes=[
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": metric,
                "y1": metric,
                "layer": "below",
                "line": {"dash": "dot", "width": 1.5},
            }
        ],
    )


def _title(text: str) -> dict[str, Any]:
    return {"text": escape(text), "standoff": 8, "font": {"size": 12}}


def _curve(
    comparison: Comparison,
    cost: Cost,
    points: Sequence[Point],
    look: Style,
    places: Mapping[Point, int],
    front: Set[Point],
) -> go.Scatter:
    return go.Scatter(
        x=[point.cost[cost] for point in points],
        y=[100 * point.metric.mean for point in points],
        error_x=_bars([cost_error(point, cost) or 0 for point in points], look.colour),
        error_y=_bars([100 * (point.metric.error or 0) for point in points], look.colour),
        mode="lines+markers+text",
        text=[sign(point, cost) for point in points],
        textposition="top right",
        line={"color": look.colour, "width": 2, "dash": "dash" if look.dashed else "solid"},
        marker={
            "symbol": look.symbol,
            "size": 13 if look.symbol == "star" else 10,
            "opacity": 1,
            "line": {"color": look.colour, "width": 2},
        },
        customdata=[places[point] for point in points],
        meta=[point in front for point in points],
        hoverinfo="text",
        hovertext=[_hover(comparison, cost, point, point in front) for point in points],
        cliponaxis=False,
    )


def _bars(errors: Sequence[float], colour: str | None = None) -> dict[str, Any]:
    bars: dict[str, Any] = {"type": "data", "array": list(errors), "thickness": 1, "width": 0}
    return bars if colour is None else bars | {"color": colour}


def _metric(comparison: Comparison, metric: Spread) -> str:
    return f"{escape(comparison.metric_name)} {percent(metric)} %"


def _hover(comparison: Comparison, cost: Cost, point: Point, mark: bool) -> str:
    """The point in a few lines; the rest is shown when it is clicked."""
    fewer = "fewer" if cost == "flops" else "faster"
    seeds = "1 seed" if len(point.seeds) == 1 else f"{len(point.seeds)} seeds"
    return "<br>".join(
        [
            f"<b>{escape(point.method)}</b>, {escape(point.knob)}",
            f"{_metric(comparison, point.metric)} ({change(point)} points)",
            f"{amount(point.cost[cost], cost)}, {times(point.speedup[cost])} {fewer}",
            seeds + (", on the Pareto front" if mark else ""),
            *([f"{DISTURBED} timing disturbed by other processes"] if point.is_disturbed(cost) else []),
        ]
    )
