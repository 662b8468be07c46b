import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from powerbert.base.errors import ConfigError
from powerbert.run.sweeps import FOLDER, SweepNotes, failures, noted_point, read_sweeps
from powerbert.store.records import read_records, write_record
from tests.report.records import point
from tests.sweepers.multirun import multirun


@pytest.fixture(autouse=True)
def no_sweep_yet(monkeypatch):
    monkeypatch.setattr(SweepNotes, "started", None)


def sweep(runs: Path, *overrides: str, task=lambda cfg: None) -> Path:
    """A sweep whose points are what `task` makes of them; the folder of its records."""

    def noted(cfg):
        with noted_point(Path(cfg.records)) as done:
            done(task(cfg))

    with suppress(ConfigError, ZeroDivisionError, KeyboardInterrupt):  # of a point
        multirun(runs, "hydra.mode=MULTIRUN", *overrides, task=noted)
    return runs / "records"


def recorded(cfg):
    record = point("rte", knob=cfg["lambda"]) | {"identity": f"{cfg['lambda']:016.0f}"}
    write_record(cfg.records, record)
    return record


def states(records: Path) -> list[str]:
    (found,) = read_sweeps(records)
    return [one.state for one in found.points]


def outcome(cfg):
    """Done, failed, failed by a bug, interrupted; what comes after that does not begin."""
    kind = int(cfg["lambda"])
    if kind == 2:
        raise ConfigError("lambda: 2 is too large")
    if kind == 3:
        raise ZeroDivisionError("a bug")
    if kind == 4:
        raise KeyboardInterrupt
    return recorded(cfg)


def test_each_point_is_done_failed_interrupted_or_missing(tmp_path):
    records = sweep(tmp_path, "lambda=1,2,3,4,5", "seed=7", task=outcome)
    (found,) = read_sweeps(records)
    assert {"lambda=1,2,3,4,5", "seed=7"} <= set(found.command)
    assert [one.overrides[1] for one in found.points] == [f"lambda={value}" for value in range(1, 6)]
    assert [one.state for one in found.points] == ["done", "failed", "failed", "missing", "missing"]
    details = [one.detail for one in found.points]
    assert details[1:3] == ["lambda: 2 is too large", "ZeroDivisionError: a bug"]
    assert details[3].startswith("interrupted")
    assert details[4] == ""
    assert [one.seconds is None for one in found.points] == [False, False, False, True, True]
    listed = failures()
    assert len(listed) == 2
    assert any(line.endswith("seed=7: lambda: 2 is too large") for line in listed)


def test_a_restart_finds_what_the_first_start_noted_and_counts_anew(tmp_path):
    records = sweep(tmp_path, "lambda=1,2", task=outcome)
    assert states(records) == ["done", "failed"]
    before = read_sweeps(records)[0].started
    time.sleep(0.01)
    sweep(tmp_path, f"records={records}", "lambda=1,2", task=recorded)
    *_, again = read_sweeps(records)
    assert again.started > before
    assert [one.state for one in again.points] == ["done", "done"]
    assert failures() == []


def test_notes_are_no_records(tmp_path):
    records = sweep(tmp_path, "lambda=1,2", task=outcome)
    assert len(list((records / FOLDER).iterdir())) >= 3
    assert len(read_records(records)) == 1


def test_a_point_whose_record_is_gone_is_missing(tmp_path):
    records = sweep(tmp_path, "lambda=1", "seed=1,2", task=recorded)
    assert states(records) == ["done", "done"]
    next(records.glob("*.json")).unlink()
    assert states(records) == ["missing", "missing"]


def test_a_point_that_stops_before_its_last_stage_is_done_without_a_record(tmp_path):
    assert states(sweep(tmp_path, "lambda=1,2", "stage=search")) == ["done", "done"]


def test_a_point_is_running_until_its_process_ends_even_by_a_kill(tmp_path):
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:

        def work(cfg):
            os.write(begun, b".")
            time.sleep(60)

        sweep(tmp_path, "lambda=1,2", task=work)
        os._exit(0)
    os.read(ready, 1)
    (found,) = read_sweeps(tmp_path / "records")
    assert [one.state for one in found.points] == ["running", "missing"]
    assert 0 <= found.points[0].seconds < 60
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (found,) = read_sweeps(tmp_path / "records")
    assert [one.state for one in found.points] == ["missing", "missing"]
    assert found.points[0].detail.startswith("interrupted")


def test_named_points_are_known_from_the_start(tmp_path):
    jobs = []

    def note(cfg):
        jobs.append(tuple(HydraConfig.get().overrides.task))
        if len(jobs) == 1:
            assert states(tmp_path / "records") == ["running", *["missing"] * 3]

    records = sweep(
        tmp_path,
        *("hydra/sweeper=points", "++hydra.sweeper.points={a: {lambda: [1, 2]}}", "seed=1,2"),
        task=note,
    )
    (found,) = read_sweeps(records)
    assert [one.overrides for one in found.points] == jobs
    assert not found.is_search


def test_of_a_search_the_points_that_have_begun_are_known(tmp_path):
    given = ("+sweep=max_loss", "max_loss=1", "hydra.sweeper.trials=2")
    speedups = iter((2.0, 3.0))

    def noted(cfg):
        with noted_point(Path(cfg.records)) as done:
            done(None)
        return 0.0, next(speedups)

    multirun(tmp_path, *given, task=noted)
    (found,) = read_sweeps(tmp_path / "records")
    assert found.is_search
    assert [one.state for one in found.points] == ["done", "done"]


def test_a_single_run_is_not_noted(tmp_path, monkeypatch):
    sweep(tmp_path, "lambda=1,2")
    before = sorted((tmp_path / "records" / FOLDER).iterdir())
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(mode=RunMode.RUN))
    with noted_point(Path("records")) as done:
        done(None)
    assert sorted((tmp_path / "records" / FOLDER).iterdir()) == before


def test_notes_that_cannot_be_written_do_not_stop_the_sweep(tmp_path, caplog):
    (tmp_path / "records").write_text("a file")
    ran = []
    sweep(tmp_path, "lambda=1,2", task=lambda cfg: ran.append(cfg["lambda"]))
    assert ran == [1, 2]
    assert ".sweep" in caplog.text


def test_a_damaged_note_counts_as_none(tmp_path):
    records = sweep(tmp_path, "lambda=1", "seed=1,2")
    first, _ = sorted((records / FOLDER).glob("*.point"))
    first.write_text('{"state": ')
    assert sorted(states(records)) == ["done", "missing"]
    assert json.loads(next((records / FOLDER).glob("*.sweep")).read_text())["points"] is not None
