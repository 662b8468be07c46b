"""The comparison of all methods: curves, Pareto fronts and hypervolumes, on the terminal and in files."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from powerbert.base.errors import ConfigError
from powerbert.base.files import file_name
from powerbert.report import pareto_figure
from powerbert.report.curves import Comparison, compare
from powerbert.report.front import summarise
from powerbert.report.pareto_page import write_page
from powerbert.report.pareto_style import styles
from powerbert.report.pareto_tables import (
    explanations,
    methods_table,
    points_table,
    tabulate_methods,
    tabulate_points,
)
from powerbert.store.naming import Record


def pareto(
    records: Sequence[Record],
    output: Path | None = None,
    *,
    tolerance: float = 1.0,
    margin: float = 10.0,
    console: Console | None = None,
) -> None:
    """Prints and writes the trade-off between metric and cost, method by method.

    The files are `pareto.csv` (the points), `summary.csv` (the methods), `pareto-<dataset>.png` and `.svg`
    (the curves), and `pareto.html`, a page that needs no other file and no network.

    Args:
        records: valid ones, of any methods, data sets and models.
        output: folder for the files, made if missing; None writes none.
        tolerance: points of the metric that may be lost for speed.
        margin: points of the metric between the fine-tuned model and the reference of the hypervolume.
        console: where to print; by default standard output.

    Raises:
        DataError: if no record can be compared.
        ConfigError: naming the setting that is invalid.
    """
    if tolerance < 0:
        raise ConfigError(f"report.tolerance: {tolerance!r} must be points of the metric, at least 0")
    if margin <= 0:
        raise ConfigError(f"report.margin: {margin!r} must be points of the metric, above 0")
    console = console or Console()
    comparisons = compare(records)
    summaries = [summarise(one, tolerance=tolerance, margin=margin) for one in comparisons]
    for comparison, of_methods in zip(comparisons, summaries, strict=True):
        console.print(points_table(comparison), "", methods_table(comparison, of_methods, tolerance), "")
        for note in comparison.notes:
            console.print(Text(f"note: {note}\n"))
    console.print(Text("\n".join(explanations(comparisons, margin))))
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: {output} cannot be made a folder ({error.strerror})") from error
    written = []
    for name, table in (
        ("pareto", tabulate_points(comparisons)),
        ("summary", tabulate_methods(comparisons, summaries)),
    ):
        written.append(output / f"{name}.csv")
        table.to_csv(written[-1], index=False, float_format="%.8g", lineterminator="\n")
    looks = styles((point.method for one in comparisons for point in one.points), records)
    for name, comparison in zip(_names(comparisons), comparisons, strict=True):
        written += pareto_figure.save(pareto_figure.draw(comparison, looks), output / name)
    written.append(output / "pareto.html")
    write_page(written[-1], comparisons, summaries, looks, tolerance=tolerance, margin=margin)
    console.print(Text("written:"), *(Text(f"  {path}") for path in written), sep="\n")


def _names(comparisons: Sequence[Comparison]) -> list[str]:
    """A file name for each: after the data set, and after the model or a number where that is not enough."""
    for fields in (1, 2):
        names = [file_name("pareto", *comparison.conditions[:fields]) for comparison in comparisons]
        if len(set(names)) == len(names):
            return names
    return [f"{name}-{number}" for number, name in enumerate(names, start=1)]
