"""The points and the methods of a comparison as tables: for the terminal, and as data."""

from collections.abc import Mapping, Sequence

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from powerbert.report.curves import COSTS, Comparison, Cost, Point, Spread
from powerbert.report.front import MethodSummary, fronts
from powerbert.report.table import DISTURBED

FRONT = "*"
"""Stands behind a speed-up, where no other point beats this one."""

NAMES: Mapping[Cost, str] = {"padded": "padded", "dynamic": "dynamic", "flops": "FLOPs"}


def points_table(comparison: Comparison) -> Table:
    """Lists the points, one a line, in at most 100 columns.

    Args:
        comparison: whose points to list.

    Returns:
        The table, for a rich console to print.
    """
    baseline, front = comparison.baseline, fronts(comparison)
    conditions = comparison.conditions
    table = _table(
        f"{comparison.title} ({conditions.device}; batches of {conditions.padded_batch_size} padded to "
        f"{conditions.max_length}, of {conditions.dynamic_batch_size} dynamic)"
    )
    table.add_column("", overflow="fold")
    for header in (
        f"{comparison.metric_name},\n% on {conditions.split}",
        "change,\npoints",
        *NAMES.values(),
        "seeds",
        "epochs",
        "trials",
    ):
        table.add_column(Text(header), justify="right", no_wrap=True)
    table.add_row("fine-tuned", percent(baseline.metric), "", "", "", "", str(len(baseline.seeds)))
    for method, points in comparison.curves().items():
        table.add_section()
        table.add_row(Text(method, style="bold"))
        for point in points:
            speedups = [
                times(point.speedup[cost]) + (FRONT if point in front[cost] else " ") + sign(point, cost)
                for cost in COSTS
            ]
            table.add_row(
                Text(f" {point.knob}"),
                percent(point.metric),
                change(point),
                *speedups,
                str(len(point.seeds)),
                epochs(point),
                str(point.trials),
            )
    return table


def methods_table(comparison: Comparison, summaries: Sequence[MethodSummary], tolerance: float) -> Table:
    """Lists the methods, one a line: hypervolumes, and the best points within the tolerance.

    Args:
        comparison: of which the summaries are.
        summaries: from `front.summarise`.
        tolerance: that they were made with.

    Returns:
        The table, for a rich console to print.
    """
    loss = f"{tolerance:g} point" if tolerance == 1 else f"{tolerance:g} points"
    table = _table(f"{comparison.title}: hypervolume; greatest speed-up losing at most {loss}")
    table.add_column("", overflow="fold")
    for kind in ("hyper-\nvolume", "greatest\nspeed-up"):
        for cost in COSTS:
            table.add_column(Text(f"{kind},\n{NAMES[cost]}"), justify="right", overflow="fold")
    for summary in summaries:
        table.add_row(
            Text(summary.method),
            *(f"{summary.hypervolume[cost]:.3f}" for cost in COSTS),
            *(Text(_best(summary.best[cost], cost)) for cost in COSTS),
        )
    return table


def tabulate_points(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per point, of all comparisons.

    Returns:
        The conditions, method and knob; `metric`, `change` and `baseline` as fractions. For each cost: where
        the point is drawn (`<cost>`), the speed-up, what the runs measured (`<cost>_model`), what the
        fine-tuned model costs (`<cost>_baseline`), and whether the point is on the front (`<cost>_front`).
        Columns ending in `_standard_error` are those of means over seeds, empty for a single seed.
        `<cost>_disturbed` says whether other processes disturbed the timing, empty if unknown.
        Latencies are in milliseconds a batch, FLOPs are counted for an input.
    """
    return pd.DataFrame([row for comparison in comparisons for row in _point_rows(comparison)])


def tabulate_methods(
    comparisons: Sequence[Comparison], summaries: Sequence[Sequence[MethodSummary]]
) -> pd.DataFrame:
    """One row per method and comparison.

    Args:
        comparisons: of which the summaries are.
        summaries: from `front.summarise`, for each comparison.

    Returns:
        The conditions, method and number of points. For each cost: `hypervolume_<cost>`, and the best point
        within the tolerance by its `speedup_<cost>`, `knob_<cost>` and `change_<cost>`, empty if none is.
    """
    rows = []
    for comparison, of_methods in zip(comparisons, summaries, strict=True):
        for summary in of_methods:
            row = {**_conditions(comparison), "method": summary.method, "points": summary.points}
            row |= {f"hypervolume_{cost}": summary.hypervolume[cost] for cost in COSTS}
            for cost, best in summary.best.items():
                row[f"speedup_{cost}"] = None if best is None else best.speedup[cost].mean
                row[f"knob_{cost}"] = None if best is None else best.knob
                row[f"change_{cost}"] = None if best is None else best.change
            rows.append(row)
    return pd.DataFrame(rows)


def explanations(comparisons: Sequence[Comparison], margin: float) -> list[str]:
    """Say what the tables' numbers mean, a line each."""
    sign = f"{DISTURBED} other processes disturbed the timing of a run"
    return [
        "padded, dynamic, FLOPs: times faster or fewer than the fine-tuned model, timed in turn in each run",
        "±: standard error over seeds; epochs: in all stages; trials: settings tried, the best on dev counts",
        *([sign] if any(comparison.is_disturbed for comparison in comparisons) else []),
        f"{FRONT} on the Pareto front: neither another point nor the fine-tuned model beats it on dev",
        f"hypervolume: area gained over a model of the fine-tuned one's cost and {margin:g} points less,",
        "from 0 (nothing) to 1 (the fine-tuned model's metric at no cost); the best points are chosen on dev",
    ]


def percent(metric: Spread) -> str:
    """A metric in per cent, with its standard error."""
    mean = f"{100 * metric.mean:.2f}"
    return mean if metric.error is None else f"{mean} ± {100 * metric.error:.2f}"


def change(point: Point) -> str:
    """The change against the fine-tuned model in points, with its sign."""
    return f"{100 * point.change:+.2f}"


def times(speedup: Spread) -> str:
    """A speed-up, without its standard error."""
    return f"{speedup.mean:.2f}x"


def sign(point: Point, cost: Cost) -> str:
    """The sign of a disturbed timing, or nothing."""
    return DISTURBED if point.is_disturbed(cost) else ""


def amount(value: float, cost: Cost) -> str:
    """A cost with its unit: milliseconds of a batch, or FLOPs of an input."""
    return f"{value / 1e9:.3g} G" if cost == "flops" else f"{value:.1f} ms"


def epochs(point: Point) -> str:
    """The epochs in all stages."""
    return "n/a" if point.epochs is None else f"{point.epochs:g}"


def _table(title: str) -> Table:
    return Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )


def _conditions(comparison: Comparison) -> dict[str, object]:
    conditions = comparison.conditions._asdict()
    return {("metric_name" if key == "metric" else key): value for key, value in conditions.items()}


def _best(point: Point | None, cost: Cost) -> str:
    return "none" if point is None else f"{times(point.speedup[cost])}{sign(point, cost)}\n{point.knob}"


def _point_rows(comparison: Comparison) -> list[dict[str, object]]:
    baseline, front = comparison.baseline, fronts(comparison)
    rows: list[dict[str, object]] = []
    for point in comparison.points:
        row: dict[str, object] = {
            **_conditions(comparison),
            "method": point.method,
            "knob": point.knob,
            "metric": point.metric.mean,
            "metric_standard_error": point.metric.error,
            "change": point.change,
            "baseline": baseline.metric.mean,
            "baseline_standard_error": baseline.metric.error,
        }
        for cost in COSTS:
            row |= {
                cost: point.cost[cost],
                f"{cost}_speedup": point.speedup[cost].mean,
                f"{cost}_speedup_standard_error": point.speedup[cost].error,
                f"{cost}_model": point.measured[cost].mean,
                f"{cost}_model_standard_error": point.measured[cost].error,
                f"{cost}_baseline": baseline.cost[cost],
                f"{cost}_front": point in front[cost],
            }
            if cost != "flops":
                row[f"{cost}_disturbed"] = point.disturbed[cost]
        row |= {
            "seeds": len(point.seeds),
            "epochs": point.epochs,
            "trials": point.trials,
            "records": len(point.records),
        }
        rows.append(row)
    return rows
