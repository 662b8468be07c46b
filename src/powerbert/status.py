"""Print the state of each point of a sweep: `python -m powerbert.status records=<folder>`."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import get_args

from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from powerbert.base.cli import entry_point
from powerbert.base.errors import DataError, printable
from powerbert.run.sweeps import FOLDER, Point, State, Sweep, read_sweeps

STYLES: dict[State, str] = {"done": "green", "running": "cyan", "failed": "red", "missing": "dim"}


def status(cfg: DictConfig) -> None:
    """Print each sweep with its points."""
    print_status(Path(cfg.records))


def print_status(records: Path, console: Console | None = None) -> None:
    """Print a table for each sweep whose records go to a folder, the latest last.

    Args:
        console: where to print; None for standard output.

    Raises:
        DataError: if no sweep was started there.
    """
    console = console or Console()
    sweeps = read_sweeps(records)
    if not sweeps:
        raise DataError(f"records={records}: no sweep was started into this folder ({FOLDER}/ is not there)")
    for sweep in sweeps:
        console.print(Text(heading(sweep), style="bold"))
        console.print(Text(summary(sweep)))
        console.print(_table(sweep.points))


def heading(sweep: Sweep) -> str:
    """Return the sweep's command line and when it was last started."""
    started = sweep.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return printable(f"{' '.join(sweep.command)}, started {started}")


def summary(sweep: Sweep) -> str:
    """Count the points by state and estimate the time that is left.

    For example `34 points: 12 done, 2 running, 1 failed, 19 missing; about 1:12:30 left`. The estimate
    assumes for each missing or running point the mean time of those done, with as many at a time as now. Of
    a search only the points that have started are known.
    """
    counts = Counter(point.state for point in sweep.points)
    shown = ", ".join(f"{counts[state]} {state}" for state in get_args(State))
    number = f"{len(sweep.points)} point{'' if len(sweep.points) == 1 else 's'}"
    begun = " so far" if sweep.is_search else ""
    times = [point.seconds for point in sweep.points if point.state == "done" and point.seconds is not None]
    remaining = counts["missing"] + counts["running"]
    if not times or not counts["running"]:
        return f"{number}{begun}: {shown}"
    left = fmean(times) * remaining / counts["running"]
    return f"{number}{begun}: {shown}; about {timedelta(seconds=round(left))} left"


def _table(points: Sequence[Point]) -> Table:
    """Return a table with a row for each point; the heading shows the overrides that all points share."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("state", no_wrap=True)
    table.add_column("point")
    table.add_column("time", justify="right", no_wrap=True)
    if any(point.detail for point in points):
        table.add_column("")
    shared = set.intersection(*(set(point.overrides) for point in points)) if len(points) > 1 else set()
    for point in points:
        own = " ".join(one for one in point.overrides if one not in shared)
        time = "" if point.seconds is None else str(timedelta(seconds=round(point.seconds)))
        cells = [Text(point.state, style=STYLES[point.state]), Text(printable(own)), Text(time)]
        table.add_row(*cells, *([Text(printable(point.detail))] if point.detail else []))
    return table


if __name__ == "__main__":
    entry_point(status, "status")
