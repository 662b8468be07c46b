"""Training on two devices from the command line: the records of one device, whatever else is asked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from powerbert.models.tiny import tiny
from powerbert.store.records import read_records
from tests.tiny_runs import overrides, train

pytestmark = pytest.mark.slow

TWO_DEVICES = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Without dropout, of which every process draws its own."""
    folder = tiny(tmp_path_factory.mktemp("checkpoint") / "tiny")
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def command(corpus: Path, runs: Path, *more: str) -> subprocess.CompletedProcess[str]:
    flags = [flag for flag in more if flag == "-m"]
    settings = overrides(corpus, runs, *TWO_DEVICES, *(word for word in more if word != "-m"))
    words = [sys.executable, "-m", "powerbert.train", *flags, *settings]
    return subprocess.run(words, capture_output=True, text=True, timeout=900)


def masses(runs: Path, record: dict) -> list[float]:
    manifest = json.loads((runs / "artifacts" / record["artifacts"]["search"] / "manifest.json").read_text())
    return manifest["results"]["mass"]


@pytest.mark.parametrize(
    "more",
    [
        ("-m", "stage=search,retrain", "batch_size=7"),
        ("trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2"),
    ],
    ids=["sweep", "bf16 and accumulated"],
)
def test_two_devices_give_the_record_of_one(corpus, checkpoint, tmp_path, more):
    """Of 96 rows the last batch of 7 has 5, which two processes cannot share equally.

    In the sweep the second point goes on from what the first has trained.
    """
    done = command(corpus, tmp_path / "two", *more, f"model.path={checkpoint}", "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    (together,) = read_records(tmp_path / "two" / "records")
    settings = [setting for setting in more if setting != "-m" and not setting.startswith("stage=")]
    alone = train(corpus, tmp_path / "one", *settings, f"model.path={checkpoint}", "trainer.max_epochs=2")
    assert together["retention_configuration"] == alone["retention_configuration"]
    assert together["metric"]["value"] == pytest.approx(alone["metric"]["value"], abs=1e-3)
    assert together["artifacts"] == alone["artifacts"], "the devices are no part of what was trained"
    assert masses(tmp_path / "two", together) == pytest.approx(masses(tmp_path / "one", alone), abs=1e-3)
