"""The comparison of all methods as one W&B run: tables, native charts and the figures."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from powerbert.base.environment import wandb_mode
from powerbert.report import pareto_figure
from powerbert.report.curves import COSTS, Comparison, Cost, Point, compare
from powerbert.report.front import MethodSummary, summarise
from powerbert.report.pareto_page import write_page
from powerbert.report.pareto_style import styles
from powerbert.report.pareto_tables import tabulate_methods, tabulate_points
from powerbert.store.naming import Record

JOB_TYPE = "comparison"


def dashboard(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    project: str,
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    tolerance: float = 1.0,
    margin: float = 10.0,
    console: Console | None = None,
) -> None:
    """Logs the trade-off between metric and cost, method by method, into one W&B run.

    The run holds the tables `points` and `methods`; for each data set a chart of all methods against each
    cost, the figure of `report=pareto`, and each method's curve as a series of its own,
    `<dataset>/<method>/<metric>` over `<dataset>/<method>/<cost>`, so that the curves of several such runs
    overlay; hypervolumes and best speed-ups as the summary; and the page. Where the user is logged in, a W&B
    report with these panels is made; otherwise the run is written to disk, and `wandb sync` sends it.

    Args:
        records: valid ones, of any methods, data sets and models.
        output: folder for the run's files, made if missing; None for the working directory.
        project: of W&B.
        entity: user or team; None for the user's default.
        group: of the run; None for one named after the data sets.
        name: of the run; None for one that W&B draws.
        tolerance: points of the metric that may be lost for speed.
        margin: points of the metric between the fine-tuned model and the reference of the hypervolume.
        console: where to print; by default standard output.

    Raises:
        DataError: if no record can be compared.
    """
    import wandb

    console = console or Console()
    comparisons = compare(records)
    summaries = [summarise(one, tolerance=tolerance, margin=margin) for one in comparisons]
    datasets = sorted({comparison.conditions.dataset for comparison in comparisons})
    methods = sorted({point.method for comparison in comparisons for point in comparison.points})
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project=project,
        entity=entity,
        group=group or "-".join(datasets),
        name=name,
        job_type=JOB_TYPE,
        tags=[tag[:64] for tag in ["pareto", *datasets, *methods]],
        dir=None if output is None else str(output),
        config={"records": len(records), "tolerance": tolerance, "margin": margin, "datasets": datasets},
        notes="\n".join(f"{one.title}: {note}" for one in comparisons for note in one.notes),
        mode=wandb_mode(),
        settings=wandb.Settings(silent=True),
    )
    with run, tempfile.TemporaryDirectory() as scratch:
        run.log(
            {
                "points": wandb.Table(dataframe=tabulate_points(comparisons)),
                "methods": wandb.Table(dataframe=tabulate_methods(comparisons, summaries)),
                **_charts(comparisons, summaries, tolerance, margin, Path(scratch)),
            }
        )
        for comparison in comparisons:
            for series, step in _series(comparison):
                run.define_metric(step, hidden=True)
                run.define_metric(series, step_metric=step)
            for point in sorted(comparison.points, key=lambda point: point.cost["flops"]):
                run.log(_entry(comparison, point))
        run.summary.update(_summary(comparisons, summaries))
        offline = run.offline
        folder, address = Path(run.dir).parent, run.url
    if offline:
        console.print(Text(f"written: {folder}\nsend it with: wandb sync {folder}"))
        return
    console.print(Text(f"run: {address}"))
    console.print(Text(f"report: {_report(run, comparisons)}"))


def _charts(
    comparisons: Sequence[Comparison],
    summaries: Sequence[Sequence[MethodSummary]],
    tolerance: float,
    margin: float,
    scratch: Path,
) -> dict[str, Any]:
    """A native chart for each data set and cost, the figures, and the page."""
    import wandb

    points = [point for comparison in comparisons for point in comparison.points]
    looks = styles((point.method for point in points), (r for point in points for r in point.records))
    charts: dict[str, Any] = {}
    for number, comparison in enumerate(comparisons):
        for cost in COSTS:
            curves = [
                (method, sorted(points, key=lambda point, cost=cost: point.cost[cost]))  # type: ignore[misc]
                for method, points in comparison.curves().items()
            ]
            charts[f"{comparison.title}/{cost}"] = wandb.plot.line_series(
                xs=[[point.cost[cost] for point in points] for _, points in curves],
                ys=[[100 * point.metric.mean for point in points] for _, points in curves],
                keys=[method for method, _ in curves],
                title=f"{comparison.title}: {comparison.metric_name}, %",
                xname=comparison.axis(cost),
            )
        figure = pareto_figure.save(pareto_figure.draw(comparison, looks), scratch / str(number))[0]
        charts[f"{comparison.title}/figure"] = wandb.Image(str(figure), caption=comparison.title)
    page = scratch / "pareto.html"
    write_page(page, comparisons, summaries, looks, tolerance=tolerance, margin=margin)
    charts["page"] = wandb.Html(page.read_text(encoding="utf-8"), inject=False)
    return charts


def _series(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Each method's metric, and the FLOPs over which it is drawn."""
    for method in comparison.curves():
        yield (
            f"{comparison.title}/{method}/{comparison.conditions.metric}",
            _cost(comparison, method, "flops"),
        )


def _cost(comparison: Comparison, method: str, cost: Cost) -> str:
    return f"{comparison.title}/{method}/{cost}"


def _entry(comparison: Comparison, point: Point) -> dict[str, Any]:
    prefix = f"{comparison.title}/{point.method}"
    return {
        f"{prefix}/{comparison.conditions.metric}": point.metric.mean,
        **{f"{prefix}/{cost}": point.cost[cost] for cost in COSTS},
        **{f"{prefix}/speedup_{cost}": point.speedup[cost].mean for cost in COSTS},
    }


def _summary(
    comparisons: Sequence[Comparison], summaries: Sequence[Sequence[MethodSummary]]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for comparison, of_methods in zip(comparisons, summaries, strict=True):
        values[f"{comparison.title}/fine-tuned"] = comparison.baseline.metric.mean
        for summary in of_methods:
            for cost in COSTS:
                prefix, best = f"{comparison.title}/{summary.method}", summary.best[cost]
                values[f"{prefix}/hypervolume_{cost}"] = summary.hypervolume[cost]
                values[f"{prefix}/best_speedup_{cost}"] = None if best is None else best.speedup[cost].mean
    return values


def _report(run: Any, comparisons: Sequence[Comparison]) -> str:
    """Makes a W&B report with the panels; returns its address, or says what to install."""
    try:
        import wandb_workspaces.reports.v2 as reports
    except ImportError:
        return "none; for one, pip install 'powerbert[wandb]'"
    blocks: list[Any] = [
        reports.H1("Metric against cost"),
        reports.P("Every comparison run of the project overlays its curves here."),
    ]
    for comparison in comparisons:
        blocks += [reports.H2(comparison.title), reports.PanelGrid(**_grid(run, comparison, reports))]
    report = reports.Report(
        project=run.project,
        entity=run.entity,
        title=f"powerbert: {', '.join(comparison.title for comparison in comparisons)}",
        blocks=blocks,
    )
    report.save()
    return str(report.url)


def _grid(run: Any, comparison: Comparison, reports: Any) -> Mapping[str, Any]:
    """The runs and the panels of one data set."""
    runs = {"project": run.project, "entity": run.entity}
    panels = [
        reports.LinePlot(
            title=f"{method}: {comparison.metric_name} over FLOPs",
            x=_cost(comparison, method, "flops"),
            y=[f"{comparison.title}/{method}/{comparison.conditions.metric}"],
        )
        for method in comparison.curves()
    ]
    panels += [
        reports.ScatterPlot(
            title=f"every run: {comparison.metric_name} over speed-up, {protocol}",
            x=reports.SummaryMetric(f"latency.{protocol}.speedup"),
            y=reports.SummaryMetric("metric.value"),
        )
        for protocol in ("padded", "dynamic")
    ]
    panels.append(reports.MediaBrowser(media_keys=[f"{comparison.title}/figure"]))
    return {
        "runsets": [
            reports.Runset(name="comparisons", filters=f"JobType == '{JOB_TYPE}'", **runs),
            reports.Runset(
                name="runs", filters=f"Config('dataset.name') == '{comparison.conditions.dataset}'", **runs
            ),
        ],
        "panels": panels,
    }
