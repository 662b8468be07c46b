"""The comparison of all methods: curves, Pareto fronts and hypervolumes, on the terminal and in files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from powerbert.base.files import file_name
from powerbert.report import pareto_figure
from powerbert.report.compare import Comparison, compare
from powerbert.report.frame import COST_NAMES, COSTS, LABELS, PROTOCOLS
from powerbert.report.pareto_page import write_page
from powerbert.report.table import DISTURBED, change, make_folder, number, percent, show, times, write_csv
from powerbert.store.naming import Record

FRONT = "*"
"""Follows a speed-up where no other point beats this one."""


def pareto(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    tolerance: float = 1.0,
    margin: float = 10.0,
    console: Console | None = None,
) -> None:
    """Print and write the trade-off between metric and cost, method by method.

    The files are `pareto.csv` (the points), `summary.csv` (the methods), `pareto-<dataset>.png` and `.svg`
    (the curves), and `pareto.html`, a page that needs no other file and no network.

    Args:
        records: Valid ones, of any methods, datasets and models.
        output: Folder for the files; None writes none.
        tolerance: As for `compare.compare`, which also says what is raised.
        margin: As for `compare.compare`.
    """
    console = console or Console()
    comparisons = compare(records, tolerance=tolerance, margin=margin)
    for comparison in comparisons:
        conditions = comparison.conditions
        setting = (
            f"{conditions['device']}; batches of {conditions['padded_batch_size']} padded to "
            f"{conditions['max_length']}, of {conditions['dynamic_batch_size']} dynamic"
        )
        show(console, f"{comparison.title} ({setting})", point_cells(comparison))
        loss = f"{tolerance:g} point{'' if tolerance == 1 else 's'}"
        title = f"{comparison.title}: hypervolume; greatest speed-up losing at most {loss}"
        show(console, title, _method_cells(comparison.summary))
        console.print(Text(f"{comparison.cls_alone}\n"))
        for note in comparison.notes:
            console.print(Text(f"note: {note}\n"))
    console.print(Text("\n".join(_explanations(comparisons, margin))))
    if output is None:
        return
    make_folder(output)
    written = [output / "pareto.csv", output / "summary.csv", output / "pareto.html"]
    write_csv(all_points(comparisons), written[0])
    write_csv(all_summaries(comparisons), written[1])
    looks = pareto_figure.styles((method for one in comparisons for method in one.curves()), records)
    for name, comparison in zip(_names(comparisons), comparisons, strict=True):
        written += pareto_figure.save(pareto_figure.draw(comparison, looks), output / name)
    write_page(written[2], comparisons, looks, tolerance=tolerance, margin=margin)
    console.print(Text("written:"), *(Text(f"  {path}") for path in written), sep="\n")


def all_points(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Join the points of all comparisons, with the columns of `pareto.csv`, see `Comparison.points`.

    Metrics are fractions, latencies in ms per batch, FLOPs per input.
    """
    points = pd.concat([comparison.points for comparison in comparisons])
    points = points.assign(seeds=points["seeds"].map(len), records=points["records"].map(len))
    columns = [*LABELS, "metric", "metric_standard_error", "change", "baseline", "baseline_standard_error"]
    for cost in COSTS:
        columns += [cost, f"{cost}_speedup", f"{cost}_speedup_standard_error", f"{cost}_model"]
        columns += [f"{cost}_model_standard_error", f"{cost}_baseline", f"{cost}_front"]
        columns += [f"{cost}_disturbed"] if cost in PROTOCOLS else []
    return points[[*columns, "seeds", "epochs", "trials", "records"]]


def all_summaries(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Join the summaries of all comparisons, with the columns of `summary.csv`."""
    summaries = pd.concat([comparison.summary for comparison in comparisons])
    return summaries.drop(columns=[f"disturbed_{cost}" for cost in COSTS])


def point_cells(comparison: Comparison) -> pd.DataFrame:
    """Write the fine-tuned model and the points down, a row each, by method and knob."""
    baseline = comparison.baseline
    metric = percent(baseline["metric"], baseline["metric_standard_error"])
    rows = {("", "fine-tuned"): [metric, "", "", "", "", str(len(baseline["seeds"])), "", ""]}
    for point in comparison.points.to_dict("records"):
        rows[point["method"], point["knob"]] = [
            percent(point["metric"], point["metric_standard_error"]),
            change(point["change"]),
            *(
                times(point[f"{cost}_speedup"])
                + (FRONT if point[f"{cost}_front"] else " ")
                + (DISTURBED if point[f"{cost}_disturbed"] else "")
                for cost in COSTS
            ),
            str(len(point["seeds"])),
            number(point["epochs"], "g"),
            str(point["trials"]),
        ]
    header = [f"{comparison.metric_name},\n% on {comparison.conditions['split']}", "change,\npoints"]
    header += [*COST_NAMES.values(), "seeds", "epochs", "trials"]
    return pd.DataFrame(list(rows.values()), pd.MultiIndex.from_tuples(rows), header)


def _method_cells(summary: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in summary.to_dict("records"):
        best = [
            "none"
            if pd.isna(row[f"speedup_{cost}"])
            else f"{times(row[f'speedup_{cost}'], row[f'disturbed_{cost}'])}\n{row[f'knob_{cost}']}"
            for cost in COSTS
        ]
        rows.append([*(f"{row[f'hypervolume_{cost}']:.3f}" for cost in COSTS), *best])
    header = [
        f"{kind},\n{COST_NAMES[cost]}" for kind in ("hyper-\nvolume", "greatest\nspeed-up") for cost in COSTS
    ]
    return pd.DataFrame(rows, pd.MultiIndex.from_product([[""], summary["method"]]), header)


def _explanations(comparisons: Sequence[Comparison], margin: float) -> list[str]:
    """Say what the tables' numbers mean, a line each."""
    disturbed = [f"{DISTURBED} other processes disturbed the timing of a run"]
    return [
        "padded, dynamic, FLOPs: times faster or fewer than the fine-tuned model, timed in turn in each run",
        "±: standard error over seeds; epochs: in all stages; trials: settings tried, the best on dev counts",
        *(disturbed if any(comparison.is_disturbed for comparison in comparisons) else []),
        f"{FRONT} on the Pareto front: neither another point nor the fine-tuned model beats it on dev",
        f"hypervolume: area gained over a model of the fine-tuned one's cost and {margin:g} points less,",
        "from 0 (nothing) to 1 (the fine-tuned model's metric at no cost); the best points are chosen on dev",
    ]


def _names(comparisons: Sequence[Comparison]) -> list[str]:
    """Name the files of each: after the dataset, and after the model or a number where that is not enough."""
    for fields in (1, 2):
        names = [file_name("pareto", *list(one.conditions.values())[:fields]) for one in comparisons]
        if len(set(names)) == len(names):
            return names
    return [f"{name}-{position}" for position, name in enumerate(names, start=1)]
