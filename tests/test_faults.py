"""What machines do to a run ends in one message and a status that is not zero; nothing finished is lost."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from powerbert.base.errors import DataError
from powerbert.data.folder import FolderSource
from powerbert.store.records import read_records
from tests.forked import Command, command
from tests.tiny_runs import artifacts, comparable, train

SHORT = ("trainer.max_epochs=1",)


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """One undisturbed run; not to be changed."""
    runs = tmp_path_factory.mktemp("finished")
    return runs, train(corpus, runs, *SHORT)


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, on which a run finds little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def message(failed: Command) -> str:
    """The one message of a command that must fail."""
    assert failed.wait() == 1
    assert "Traceback" not in failed.stderr + failed.stdout
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    return line


def copied(finished: Path, runs: Path) -> dict[str, float]:
    """Copies what a run left, to be damaged; its artifacts with their times."""
    shutil.copytree(finished, runs)
    return artifacts(runs)


def test_a_full_disk_is_told_and_the_run_goes_on_where_there_is_room(finished, corpus, disk, tmp_path):
    _, undisturbed = finished
    told = []
    for size in (128, 700, 1200, 1500):
        remount(disk, f"size={size}k")
        told.append(message(command(tmp_path / f"{size}k", corpus, disk / "runs", *SHORT)))
        assert "No space left on device" in told[-1]
        assert str(disk) in told[-1]
    before = artifacts(disk / "runs")
    assert before, "the later attempts came further"
    remount(disk, "size=64m")
    assert command(tmp_path / "room", corpus, disk / "runs", *SHORT).wait() == 0
    (record,) = read_records(disk / "runs/records")
    assert comparable(record) == comparable(undisturbed)
    assert before.items() <= artifacts(disk / "runs").items()


def test_a_read_only_output_folder_is_told_before_anything_runs(corpus, disk, tmp_path):
    remount(disk, "ro")
    for more in ((), ("-m", "lambda=0.01,0.1")):
        told = message(command(tmp_path / f"{len(more)}", corpus, disk / "runs", *more))
        assert told == (
            f"error: {disk}/runs: Read-only file system; choose a folder that can be written to, such as "
            "paths.runs=<folder>"
        )


def test_a_read_only_artifact_store_is_told(finished, corpus, disk, tmp_path):
    remount(disk, "size=64m")
    runs, _ = finished
    before = copied(runs, disk / "runs")
    remount(disk, "ro")
    elsewhere = (f"paths.artifacts={disk}/runs/artifacts", "lambda=0.1", *SHORT)
    told = message(command(tmp_path / "out", corpus, tmp_path / "runs", *elsewhere))
    assert f"{disk}/runs/artifacts" in told
    assert "Read-only file system" in told
    assert artifacts(disk / "runs") == before


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)


def bump(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"manifest_version": 99}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, "model.safetensors: the weight file has 99136 bytes instead of 198272; delete the folder"),
        (bump, "manifest_version: 99"),
    ],
)
def test_a_damaged_artifact_is_named_and_nothing_is_deleted(finished, corpus, tmp_path, damage, told):
    runs = tmp_path / "runs"
    before = copied(finished[0], runs)
    (folder,) = runs.glob("artifacts/*-finetune-*/")
    damage(folder)
    files = sorted(path for path in runs.rglob("*") if "logs" not in path.parts)
    assert told in message(command(tmp_path / "out", corpus, runs, "lambda=0.1", *SHORT))
    assert sorted(path for path in runs.rglob("*") if "logs" not in path.parts) == files
    assert artifacts(runs).keys() == before.keys()


def test_a_dataset_that_changes_while_it_is_read_is_refused(corpus, tmp_path, monkeypatch):
    changing = tmp_path / "corpus"
    shutil.copytree(corpus, changing)
    load = FolderSource.load

    def change(self):
        (changing / "dev.tsv").write_text((corpus / "dev.tsv").read_text().replace("dull", "bad"))
        return load(self)

    monkeypatch.setattr(FolderSource, "load", change)
    with pytest.raises(DataError, match="its files changed"):
        train(changing, tmp_path / "runs", *SHORT)
    assert not artifacts(tmp_path / "runs")


def test_a_point_whose_loss_is_lost_does_not_stop_the_sweep(corpus, tmp_path):
    runs = tmp_path / "runs"
    points = ("-m", "learning_rate=1e38,1e-2", "trainer.gradient_clip_val=null", *SHORT)
    swept = command(tmp_path / "out", corpus, runs, *points)
    told = message(swept)
    assert "finetune: the loss is nan in epoch 1, step " in told
    assert "1 point(s) of the sweep failed" in swept.stderr
    (path,) = runs.glob("artifacts/*.partial/checkpoints/nonfinite_batch.safetensors")
    assert str(path) in told
    (record,) = read_records(runs / "records")
    assert record["config"]["learning_rate"] == 1e-2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_stop_says_so_and_goes_on(finished, corpus, tmp_path, number, status):
    runs = tmp_path / "runs"
    stopped = command(tmp_path / "out", corpus, runs, "checkpoint_minutes=0", *SHORT)
    while not list(runs.glob("artifacts/*-search-*.partial/checkpoints/last.ckpt")):
        assert stopped.process.is_alive(), stopped.stderr
        time.sleep(0.01)
    os.kill(stopped.process.pid, number)
    assert stopped.wait() == status
    assert "Traceback" not in stopped.stderr
    (told,) = [line for line in stopped.stderr.splitlines() if line.startswith("stopped by ")]
    assert told.startswith(f"stopped by {number.name}")
    assert told in next(runs.glob("logs/*/*.log")).read_text()
    again = command(tmp_path / "again", corpus, runs, *SHORT)
    assert again.wait() == 0
    assert "finetune: reused" in again.stdout
    (record,) = read_records(runs / "records")
    assert comparable(record) == comparable(finished[1])


def test_two_sweeps_in_one_folder_share_the_work(finished, corpus, tmp_path):
    runs = tmp_path / "runs"
    points = ("lambda=0.01,0.0001", "lambda=0.0001,0.01")
    sweeps = [
        command(tmp_path / str(number), corpus, runs, "-m", swept, *SHORT)
        for number, swept in enumerate(points)
    ]
    assert [sweep.wait() for sweep in sweeps] == [0, 0], [sweep.stderr for sweep in sweeps]
    printed = "".join(sweep.stdout for sweep in sweeps)
    assert printed.count("finetune: training") == 1
    assert printed.count("search: training") == 2
    assert len(list(runs.glob("logs/*"))) == 2, "each has a log folder of its own"
    records = {record["knob"]["lambda"]: record for record in read_records(runs / "records")}
    assert records.keys() == {0.01, 0.0001}
    assert comparable(records[0.01]) == comparable(finished[1])
