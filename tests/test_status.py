import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from powerbert import status
from powerbert.base.errors import DataError
from powerbert.run.sweeps import Point, Sweep
from powerbert.status import print_status, summary

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def sweep(*points: Point, is_search: bool = False) -> Sweep:
    return Sweep(("+experiment=rte_pareto", "seed=1"), STARTED, points, is_search)


def printed(monkeypatch, *sweeps: Sweep) -> str:
    monkeypatch.setattr(status, "read_sweeps", lambda records: list(sweeps))
    console = Console(file=io.StringIO(), width=100)
    print_status("somewhere", console)
    return console.file.getvalue()


POINTS = (
    Point(("seed=1", "lambda=1"), "done", seconds=100.0),
    Point(("seed=1", "lambda=2"), "done", seconds=200.0),
    Point(("seed=1", "lambda=3"), "running", seconds=61.0),
    Point(("seed=1", "lambda=4"), "failed", "lambda: 4 is too large", seconds=1.0),
    Point(("seed=1", "lambda=5"), "missing"),
)


def test_lists_the_points_with_what_differs(monkeypatch):
    text = printed(monkeypatch, sweep(*POINTS))
    assert text.startswith("+experiment=rte_pareto seed=1, started 2026-01-0")
    rows = [line.split() for line in text.splitlines() if "lambda=" in line]
    assert rows[0] == ["done", "lambda=1", "0:01:40"]
    assert rows[2] == ["running", "lambda=3", "0:01:01"]
    assert rows[3] == ["failed", "lambda=4", "0:00:01", "lambda:", "4", "is", "too", "large"]
    assert rows[4] == ["missing", "lambda=5"]


def test_counts_and_estimates():
    assert summary(sweep(*POINTS)) == "5 points: 2 done, 1 running, 1 failed, 1 missing; about 0:05:00 left"
    assert summary(sweep(*POINTS, POINTS[2])).endswith("about 0:03:45 left"), "two at a time"
    assert summary(sweep(POINTS[0], POINTS[4])) == "2 points: 1 done, 0 running, 0 failed, 1 missing"
    assert summary(sweep(POINTS[0], is_search=True)).startswith("1 point so far: 1 done")


def test_what_a_point_says_is_text(monkeypatch):
    nasty = "[red]bold[/] \x1b[2J <script>"
    text = printed(monkeypatch, sweep(Point((f"name={nasty}",), "failed", nasty)))
    assert "\x1b" not in text
    assert "".join(text.split()).count(r"[red]bold[/]\x1b[2J<script>") == 2


def test_without_a_sweep_one_message_says_so(tmp_path):
    with pytest.raises(DataError, match="no sweep was started into this folder"):
        print_status(tmp_path)
