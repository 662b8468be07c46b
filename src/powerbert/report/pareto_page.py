"""The page of `report=pareto`: one HTML file that needs no other and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from powerbert.base.output import whole_file
from powerbert.report import pareto_tables
from powerbert.report.curves import COSTS, Comparison, Point
from powerbert.report.front import MethodSummary, fronts
from powerbert.report.pareto_figure import PANELS, caption
from powerbert.report.pareto_plots import plot
from powerbert.report.pareto_style import Style
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
    with whole_file(path) as file:
        file.write(page)


def _details(point: Point) -> dict[str, Any]:
    """What the page shows of a point's records: a line for each fact, with a value for each record."""
    of_records = [dict(facts(record)) for record in point.records]
    names = dict.fromkeys(name for one in of_records for name in one)
    return {
        "title": point.label,
        "facts": [[name, [one.get(name, "n/a") for one in of_records]] for name in names],
    }
