"""A training that is interrupted anywhere resumes within its epoch and ends as if undisturbed."""

import os
import signal
import threading

import pytest

from powerbert.base.errors import ModelError
from powerbert.base.interrupt import Interrupted
from powerbert.stages import FineTune
from powerbert.stages.checkpoints import WholeFileIO
from tests.stages.trainings import STEPS, at, checkpoint, finetune

RARELY = "checkpoint_minutes=60"


class CrashError(Exception):
    pass


def crash():
    raise CrashError


@pytest.mark.parametrize(
    ("hook", "call", "reached"),
    [
        ("training_step", 1, None),
        ("training_step", 4, 3),
        ("training_step", STEPS, STEPS - 1),
        ("validation_step", 2, STEPS - 1),
        ("training_step", STEPS + 1, STEPS),
        ("training_step", 10, 9),
        ("validation_step", 3, 2 * STEPS - 1),
        ("validation_step", 5, 2 * STEPS),
    ],
)
def test_a_training_resumes_within_its_epoch(
    undisturbed, disturbed, corpus, tmp_path, monkeypatch, hook, call, reached
):
    disturbed(CrashError, hook, call, crash)
    if reached is not None:
        assert checkpoint(tmp_path)["global_step"] == reached
    steps = at(monkeypatch, "training_step", 0, crash)
    assert finetune(corpus, tmp_path) == undisturbed
    assert steps == [2 * STEPS - (reached or 0)], "no step is made twice"


def test_a_training_resumes_where_its_folder_was_moved_to(disturbed, corpus, tmp_path, monkeypatch):
    falling = [0.9, 0.1, 0.1]

    def on_validation_epoch_end(stage):
        stage.metrics.reset()
        stage.log("finetune/dev_accuracy", falling[min(stage.current_epoch, 2)])

    monkeypatch.setattr(FineTune, "on_validation_epoch_end", on_validation_epoch_end)
    whole = finetune(corpus, tmp_path / "whole")
    disturbed(CrashError, "training_step", 10, crash, runs=tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = finetune(corpus, tmp_path / "there")
    assert moved["weights"] == whole["weights"], "the first epoch is still best"


def test_accumulated_gradients_are_never_cut_in_two(disturbed, corpus, tmp_path):
    accumulating, cut = "trainer.accumulate_grad_batches=2", tmp_path / "cut"
    disturbed(CrashError, "training_step", 6, crash, accumulating, runs=cut)
    assert checkpoint(cut)["global_step"] == 2
    assert finetune(corpus, cut, accumulating) == finetune(corpus, tmp_path / "whole", accumulating)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_until_the_training_is_saved(
    undisturbed, disturbed, corpus, tmp_path, caplog, number, status
):
    ended = disturbed(Interrupted, "training_step", 10, lambda: signal.raise_signal(number), RARELY)
    assert ended.code == status
    assert checkpoint(tmp_path)["global_step"] == 10, "the step was finished and saved"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with caplog.at_level("INFO"):
        assert finetune(corpus, tmp_path) == undisturbed
    assert "finetune: resuming in epoch 2, after 10 steps" in caplog.text


def test_a_signal_during_validation_waits_for_its_end(undisturbed, disturbed, corpus, tmp_path):
    disturbed(Interrupted, "validation_step", 2, lambda: signal.raise_signal(signal.SIGTERM), RARELY)
    assert checkpoint(tmp_path)["global_step"] == STEPS
    assert finetune(corpus, tmp_path) == undisturbed


def test_a_second_signal_does_not_wait(disturbed, tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it waited")

    disturbed(Interrupted, "training_step", 6, twice)
    assert checkpoint(tmp_path)["global_step"] == 5, "amid a step nothing is saved"


def test_a_signal_at_the_very_end_is_not_forgotten(disturbed):
    disturbed(Interrupted, "on_train_end", 1, lambda: signal.raise_signal(signal.SIGTERM))


def test_a_training_continues_after_a_handler_that_returns(undisturbed, corpus, tmp_path, monkeypatch):
    heard = []
    previous = signal.signal(signal.SIGINT, lambda *_: heard.append("it"))
    try:
        at(monkeypatch, "training_step", 6, lambda: signal.raise_signal(signal.SIGINT))
        assert finetune(corpus, tmp_path) == undisturbed
    finally:
        signal.signal(signal.SIGINT, previous)
    assert heard == ["it"]


def test_a_thread_trains_without_touching_signals(undisturbed, corpus, tmp_path):
    made = []
    thread = threading.Thread(target=lambda: made.append(finetune(corpus, tmp_path)))
    thread.start()
    thread.join()
    assert made == [undisturbed]


def test_under_slurm_no_signal_saves_amid_a_step(undisturbed, corpus, tmp_path, monkeypatch):
    for name, value in {"NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_NAME": "x"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    handlers = []
    at(monkeypatch, "training_step", 1, lambda: handlers.append(signal.getsignal(signal.SIGUSR1)))
    assert finetune(corpus, tmp_path) == undisturbed
    assert handlers == [signal.SIG_DFL]


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    path = tmp_path / "last.ckpt"
    WholeFileIO().save_checkpoint({"step": 1}, path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            WholeFileIO().save_checkpoint({"step": 2}, path)
    assert WholeFileIO().load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["last.ckpt"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"no checkpoint"])
def test_a_damaged_checkpoint_names_the_file_and_the_remedy(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"{path}: .*delete it"):
        WholeFileIO().load_checkpoint(path)
