"""The page of `report=pareto`: one HTML file that needs no other and no network.

Names in the interactive plots are text: plotly would take `<b>` in a name for markup.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from powerbert.base.files import output_file
from powerbert.report.compare import Comparison
from powerbert.report.frame import COST_NAMES, COSTS
from powerbert.report.pareto_figure import PANELS, Style, caption
from powerbert.report.table import DISTURBED, change, number, percent, times
from powerbert.store.facts import facts


def write_page(
    path: Path,
    comparisons: Sequence[Comparison],
    looks: Mapping[str, Style],
    *,
    tolerance: float,
    margin: float,
) -> None:
    """Write the page, replacing the file. Whatever the records hold is text on it, never markup.

    Args:
        path: The file.
        comparisons: To show, one below the other.
        looks: From `pareto_figure.styles`.
        tolerance: That the comparisons were made with.
        margin: That the comparisons were made with.
    """
    environment = Environment(
        loader=PackageLoader("powerbert.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"costs": COSTS, "names": COST_NAMES, "panels": PANELS, "caption": caption}
    environment.globals |= {"percent": percent, "change": change, "times": times, "number": number}
    environment.globals["amount"] = _amount
    page = environment.get_template("pareto.html.jinja").render(
        sections=[
            {
                "comparison": comparison,
                "summaries": comparison.summary.to_dict("records"),
                "curves": {
                    method: points.reset_index(names="place").to_dict("records")
                    for method, points in comparison.curves().items()
                },
            }
            for comparison in comparisons
        ],
        looks=looks,
        tolerance=tolerance,
        margin=margin,
        records=sum(len(records) for one in comparisons for records in one.points["records"]),
        data=[
            {
                "plots": [plot(comparison, cost, looks) for cost in COSTS],
                "points": [_details(point) for point in comparison.points.to_dict("records")],
            }
            for comparison in comparisons
        ],
        plotly=Markup(get_plotlyjs()),
    )
    with output_file(path) as file:
        file.write(page)


def _details(point: Mapping[str, Any]) -> dict[str, Any]:
    """List the facts of a point's records, each with a value for each record."""
    of_records = [dict(facts(record)) for record in point["records"]]
    names = dict.fromkeys(name for one in of_records for name in one)
    return {
        "title": f"{point['method']}, {point['knob']}",
        "facts": [[name, [one.get(name, "n/a") for one in of_records]] for name in names],
    }


def plot(comparison: Comparison, cost: str, looks: Mapping[str, Style]) -> dict[str, Any]:
    """Draw the curves of a comparison against one cost.

    Returns:
        Plotly's JSON: a trace for each of the comparison's curves in their order, then the fine-tuned model,
        then an empty one for the point that a reader selects. `customdata` holds the points' places in
        `comparison.points`, `meta` which of them are on the front. The page sets neutral colours.
    """
    baseline = comparison.baseline
    metric = percent(baseline["metric"], baseline["metric_standard_error"])
    curves = [
        _curve(comparison, cost, points.sort_values(cost, kind="stable"), looks[method])
        for method, points in comparison.curves().items()
    ]
    fine_tuned = {
        "x": [baseline[cost]],
        "y": [100 * baseline["metric"]],
        "error_y": _bars(pd.Series(100 * baseline["metric_standard_error"])),
        "mode": "markers",
        "marker": {"symbol": "x-thin", "size": 11, "line": {"width": 2.5}},
        "hoverinfo": "text",
        "hovertext": [f"<b>fine-tuned model</b><br>{escape(comparison.metric_name)} {metric} %"],
    }
    selected = {
        "x": [],
        "y": [],
        "mode": "markers",
        "marker": {"symbol": "circle-open", "size": 19, "line": {"width": 2}},
        "hoverinfo": "skip",
    }
    common = {"type": "scatter", "cliponaxis": False}
    return {
        "data": [trace | common for trace in (*curves, fine_tuned, selected)],
        "layout": _layout(comparison, cost),
    }


def _layout(comparison: Comparison, cost: str) -> dict[str, Any]:
    metric = 100 * comparison.baseline["metric"]
    axis = {"automargin": True, "ticks": "outside", "zeroline": False, "showline": True}
    across = {"xref": "paper", "x0": 0, "x1": 1, "y0": metric, "y1": metric}
    return {
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "xaxis": axis
        | {
            "title": _title(comparison.axis(cost)),
            "rangemode": "tozero",
            "showgrid": False,
            "exponentformat": "SI",
        },
        "yaxis": axis | {"title": _title(f"{comparison.metric_name}, %"), "showline": False, "ticks": ""},
        "shapes": [{"type": "line", "layer": "below", "line": {"dash": "dot", "width": 1.5}, **across}],
    }


def _title(text: str) -> dict[str, Any]:
    return {"text": escape(text), "standoff": 8, "font": {"size": 12}}


def _curve(comparison: Comparison, cost: str, points: pd.DataFrame, look: Style) -> dict[str, Any]:
    rows = points.to_dict("records")
    return {
        "x": points[cost].tolist(),
        "y": (100 * points["metric"]).tolist(),
        "error_x": _bars(points[f"{cost}_standard_error"], color=look.colour),
        "error_y": _bars(100 * points["metric_standard_error"], color=look.colour),
        "mode": "lines+markers+text",
        "text": [DISTURBED if row[f"{cost}_disturbed"] else "" for row in rows],
        "textposition": "top right",
        "line": {"color": look.colour, "width": 2, "dash": "dash" if look.dashed else "solid"},
        "marker": {
            "symbol": look.symbol,
            "size": 13 if look.symbol == "star" else 10,
            "opacity": 1,
            "line": {"color": look.colour, "width": 2},
        },
        "customdata": points.index.tolist(),
        "meta": points[f"{cost}_front"].tolist(),
        "hoverinfo": "text",
        "hovertext": [_hover(comparison, cost, row) for row in rows],
    }


def _bars(errors: pd.Series, **look: str) -> dict[str, Any]:
    return {"type": "data", "array": errors.fillna(0).tolist(), "thickness": 1, "width": 0, **look}


def _hover(comparison: Comparison, cost: str, point: Mapping[str, Any]) -> str:
    """Describe a point in a few lines; a click shows the rest."""
    metric = percent(point["metric"], point["metric_standard_error"])
    fewer = "fewer" if cost == "flops" else "faster"
    seeds = "1 seed" if len(point["seeds"]) == 1 else f"{len(point['seeds'])} seeds"
    lines = [
        f"<b>{escape(point['method'])}</b>, {escape(point['knob'])}",
        f"{escape(comparison.metric_name)} {metric} % ({change(point['change'])} points)",
        f"{_amount(point[cost], cost)}, {times(point[f'{cost}_speedup'])} {fewer}",
        seeds + (", on the Pareto front" if point[f"{cost}_front"] else ""),
    ]
    if point[f"{cost}_disturbed"]:
        lines.append(f"{DISTURBED} timing disturbed by other processes")
    return "<br>".join(lines)


def _amount(value: float, cost: str) -> str:
    """Format a cost with its unit."""
    return f"{value / 1e9:.3g} G" if cost == "flops" else f"{value:.1f} ms"
