"""Runs that are killed again and again, anywhere: nothing is lost, and the record is the undisturbed one."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from powerbert.store.artifacts import Artifact
from powerbert.store.records import read_records
from tests.forked import CONTEXT, attempt
from tests.tiny_runs import comparable

pytestmark = pytest.mark.slow

SETTINGS = ("checkpoint_minutes=0", "trainer.max_epochs=2", "dataset.max_length=24")
KILLS = 40
PATIENCE = 10
"""As many attempts at the same run are killed before one is left alone."""


def finished_artifacts(runs: Path) -> dict[str, dict]:
    """The manifests of the finished artifacts, each of them read and its weights verified."""
    found = {}
    for path in runs.glob("artifacts/*/manifest.json"):
        artifact = Artifact.load(path.parent)
        artifact.verify()
        found[artifact.id] = artifact.manifest
    return found


def lost(before: dict[str, dict], after: dict[str, dict]) -> list[str]:
    """What was finished before and is gone, or was made again."""
    return [name for name, manifest in before.items() if after.get(name) != manifest]


def progress(runs: Path) -> dict[str, int]:
    """How many batches each training that is under way has behind it, by its checkpoint."""
    import torch

    steps = {}
    for path in runs.glob("artifacts/*.partial/checkpoints/last.ckpt"):
        steps[path.parents[1].name] = torch.load(path, weights_only=True)["global_step"]
    return steps


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    """Of a run left alone: its record, weights by artifact, changes of the file system, and seconds."""
    runs = tmp_path_factory.mktemp("undisturbed")
    counted = CONTEXT.Value("i", 0)
    imports = CONTEXT.Process(target=os.getpid)
    imports.start()
    imports.join(300)
    started = time.monotonic()
    process = attempt(corpus, runs, *SETTINGS, counted=counted)
    process.join(300)
    seconds = time.monotonic() - started
    assert process.exitcode == 0
    (record,) = read_records(runs / "records")
    weights = {name: manifest["weights"] for name, manifest in finished_artifacts(runs).items()}
    return record, weights, counted.value, seconds


@pytest.mark.parametrize(
    "moment", ["SIGKILL at a change of the file system", "SIGKILL at any time", "SIGTERM at any time"]
)
def test_a_run_killed_anywhere_goes_on_to_the_same_record(
    undisturbed, corpus, tmp_path, record_property, moment
):
    record, weights, changes, seconds = undisturbed
    chain, kills, stages, losses, setbacks = 0, 0, set(), [], []
    while kills < KILLS:
        chain += 1
        draw = random.Random(f"{moment} {chain}")
        runs = tmp_path / str(chain)
        finished, steps = {}, {}
        for _ in range(PATIENCE):
            if "change" in moment:
                process = attempt(corpus, runs, *SETTINGS, change=draw.randint(1, changes // 3))
            else:
                process = attempt(corpus, runs, *SETTINGS)
                process.join(draw.uniform(0, seconds / 2))
                process.kill() if "SIGKILL" in moment else process.terminate()
            process.join(300)
            if process.exitcode == 0:
                break
            assert process.exitcode in (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)
            kills += 1
            now, reached = finished_artifacts(runs), progress(runs)
            losses += lost(finished, now)
            setbacks += [name for name in steps.keys() & reached.keys() if reached[name] < steps[name]]
            stages |= {name.split("-")[2] for name in reached}
            finished, steps = now, reached
        last = attempt(corpus, runs, *SETTINGS)
        last.join(300)
        assert last.exitcode == 0
        made = finished_artifacts(runs)
        losses += lost(finished, made)
        assert {name: manifest["weights"] for name, manifest in made.items()} == weights
        (found,) = read_records(runs / "records")
        assert json.dumps(comparable(found)) == json.dumps(comparable(record))
        assert not list(runs.glob("artifacts/*.partial"))
    lost_anything = len(losses) + len(setbacks)
    record_property(moment, f"{kills} kills of {chain} runs, {lost_anything} of them lost anything")
    assert not losses
    assert not setbacks
    assert stages == {"finetune", "search", "retrain"}, "each stage was struck amid its training"
