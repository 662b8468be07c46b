"""The comparison of all methods as one W&B run: tables, native charts and the figures."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from powerbert.base.environment import wandb_mode
from powerbert.report import pareto_figure
from powerbert.report.compare import Comparison, compare
from powerbert.report.frame import COSTS, PROTOCOLS
from powerbert.report.pareto import all_points, all_summaries
from powerbert.report.pareto_page import write_page
from powerbert.report.table import make_folder
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
    """Log the trade-off between metric and cost, method by method, into one W&B run.

    The run holds the tables `points` and `methods`; for each dataset a chart of all methods against each
    cost, the figure of `report=pareto`, and each method's curve as a series,
    `<dataset>/<method>/<metric>` over `<dataset>/<method>/<cost>`, so that the curves of several such runs
    overlay; hypervolumes and best speed-ups as the summary; and the page. Where the user is logged in, a W&B
    report with these panels is made; otherwise the run is written to disk, and `wandb sync` sends it.

    Args:
        records: Valid ones, of any methods, datasets and models.
        output: Folder for the run's files; None for the working directory.
        project: Of W&B.
        entity: User or team; None for the user's default.
        group: Of the run; None for one named after the datasets.
        name: Of the run; None for one that W&B draws.
        tolerance: As for `compare.compare`, which also says what is raised.
        margin: As for `compare.compare`.
    """
    import wandb

    console = console or Console()
    comparisons = compare(records, tolerance=tolerance, margin=margin)
    points = all_points(comparisons)
    datasets, methods = sorted(set(points["dataset"])), sorted(set(points["method"]))
    if output is not None:
        make_folder(output)
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
        page = Path(scratch) / "pareto.html"
        looks = pareto_figure.styles(methods, records)
        write_page(page, comparisons, looks, tolerance=tolerance, margin=margin)
        charts: dict[str, Any] = {}
        for number, comparison in enumerate(comparisons):
            figure = pareto_figure.draw(comparison, looks)
            image = pareto_figure.save(figure, Path(scratch) / str(number))[0]
            charts |= _charts(comparison)
            charts[f"{comparison.title}/figure"] = wandb.Image(str(image), caption=comparison.title)
        run.log(
            {
                "points": wandb.Table(dataframe=points),
                "methods": wandb.Table(dataframe=all_summaries(comparisons)),
                "page": wandb.Html(page.read_text(encoding="utf-8"), inject=False),
                **charts,
            }
        )
        for comparison in comparisons:
            _log_curves(run, comparison)
            run.summary.update(_totals(comparison))
        offline = run.offline
        folder, address = Path(run.dir).parent, run.url
    if offline:
        console.print(Text(f"written: {folder}\nsend it with: wandb sync {folder}"))
        return
    console.print(Text(f"run: {address}"))
    console.print(Text(f"report: {_report(run, comparisons)}"))


def _charts(comparison: Comparison) -> dict[str, Any]:
    """Draw a native chart for each cost."""
    import wandb

    charts = {}
    for cost in COSTS:
        curves = {method: points.sort_values(cost) for method, points in comparison.curves().items()}
        charts[f"{comparison.title}/{cost}"] = wandb.plot.line_series(
            xs=[points[cost].tolist() for points in curves.values()],
            ys=[(100 * points["metric"]).tolist() for points in curves.values()],
            keys=list(curves),
            title=f"{comparison.title}: {comparison.metric_name}, %",
            xname=comparison.axis(cost),
        )
    return charts


def _log_curves(run: Any, comparison: Comparison) -> None:
    """Log each method's metric and costs as a series over the FLOPs."""
    metric_name = comparison.conditions["metric_name"]
    for method in comparison.curves():
        prefix = f"{comparison.title}/{method}"
        run.define_metric(f"{prefix}/flops", hidden=True)
        run.define_metric(f"{prefix}/{metric_name}", step_metric=f"{prefix}/flops")
    for point in comparison.points.sort_values("flops", kind="stable").to_dict("records"):
        values = {metric_name: point["metric"]}
        for cost in COSTS:
            values |= {cost: point[cost], f"speedup_{cost}": point[f"{cost}_speedup"]}
        run.log({f"{comparison.title}/{point['method']}/{name}": value for name, value in values.items()})


def _totals(comparison: Comparison) -> dict[str, Any]:
    """Name the fine-tuned model's metric, and each method's hypervolumes and best speed-ups."""
    values = {f"{comparison.title}/fine-tuned": comparison.baseline["metric"]}
    for row in comparison.summary.to_dict("records"):
        prefix = f"{comparison.title}/{row['method']}"
        for cost in COSTS:
            speedup = row[f"speedup_{cost}"]
            values[f"{prefix}/hypervolume_{cost}"] = row[f"hypervolume_{cost}"]
            values[f"{prefix}/best_speedup_{cost}"] = None if pd.isna(speedup) else speedup
    return values


def _report(run: Any, comparisons: Sequence[Comparison]) -> str:
    """Make a W&B report with the panels; return its address, or what to install for one."""
    try:
        import wandb_workspaces.reports.v2 as reports
    except ImportError:
        return "none; for one, pip install 'powerbert[wandb]'"
    where = {"project": run.project, "entity": run.entity}
    blocks: list[Any] = [
        reports.H1("Metric against cost"),
        reports.P("Every comparison run of the project overlays its curves here."),
    ]
    for comparison in comparisons:
        dataset = comparison.conditions["dataset"]
        runsets = [
            reports.Runset(name="comparisons", filters=f"JobType == '{JOB_TYPE}'", **where),
            reports.Runset(name="runs", filters=f"Config('dataset.name') == '{dataset}'", **where),
        ]
        grid = reports.PanelGrid(runsets=runsets, panels=_panels(comparison, reports))
        blocks += [reports.H2(comparison.title), grid]
    title = f"powerbert: {', '.join(comparison.title for comparison in comparisons)}"
    report = reports.Report(title=title, blocks=blocks, **where)
    report.save()
    return str(report.url)


def _panels(comparison: Comparison, reports: Any) -> list[Any]:
    title, name, metric = comparison.title, comparison.metric_name, comparison.conditions["metric_name"]
    curves = [
        reports.LinePlot(
            title=f"{method}: {name} over FLOPs",
            x=f"{title}/{method}/flops",
            y=[f"{title}/{method}/{metric}"],
        )
        for method in comparison.curves()
    ]
    runs = [
        reports.ScatterPlot(
            title=f"every run: {name} over speed-up, {protocol}",
            x=reports.SummaryMetric(f"latency.{protocol}.speedup"),
            y=reports.SummaryMetric("metric.value"),
        )
        for protocol in PROTOCOLS
    ]
    return [*curves, *runs, reports.MediaBrowser(media_keys=[f"{title}/figure"])]
