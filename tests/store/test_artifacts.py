import errno
import json
import multiprocessing
import os
import signal
import time
from contextlib import suppress

import pytest
import torch
from filelock import SoftFileLease, Timeout
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from powerbert.base.errors import ModelError
from powerbert.models.tiny import tiny_config
from powerbert.store.artifacts import MANIFEST, Artifact, ArtifactStore

IDENTITY = {
    "stage": "retrain",
    "seed": 42,
    "training": {"learning_rate": 3e-5, "trainer": {"max_epochs": 3}},
    "settings": {"retention_configuration": [8, 4, 1], "diagonal": True},
    "parents": ["rte-tiny-finetune-0123456789abcdef"],
}
NAME = "rte-tiny-retrain"
WEIGHTS = {"size": 7, "sha256": "0"}
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


def write_weights(folder, content=b"weights"):
    (folder / "model.safetensors").write_bytes(content)


def make(store, identity=IDENTITY, content=b"weights", **details) -> Artifact:
    with store.writing(NAME, identity) as work:
        if work.artifact is None:
            write_weights(work.artifact_folder, content)
            work.finish({"dev": {"accuracy": 0.5}}, **details)
    return work.artifact


def started(target, store):
    """A process that has begun to make the artifact."""
    ready = FORK.Event()
    process = FORK.Process(target=target, args=(store, ready))
    process.start()
    assert ready.wait(30)
    return process


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def test_a_finished_artifact_is_found_again(store):
    assert store.get(NAME, IDENTITY) is None
    made = make(store)
    assert made.path == store.folder(NAME, IDENTITY)
    assert made.id == made.path.name == f"{NAME}-{ArtifactStore.hash(IDENTITY)}"
    assert ArtifactStore(store.root).get(NAME, dict(reversed(IDENTITY.items()))) == made
    assert Artifact.load(made.path) == Artifact.find(made.path) == made
    assert Artifact.find(store.root) is None, "a folder without a manifest is no artifact"
    assert store.folder("../../x", IDENTITY).parent == store.root, "a name never becomes a path"
    with store.writing(NAME, IDENTITY) as work:
        assert work.artifact == made
        assert not work.folder.exists(), "nothing remains of its making"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43},
        {"stage": "finetune"},
        {"training": {"learning_rate": 3.0001e-5, "trainer": {"max_epochs": 3}}},
        {"training": {"learning_rate": 3e-5, "trainer": {"max_epochs": 4}}},
        {"settings": {"retention_configuration": [8, 4, 2], "diagonal": True}},
        {"parents": []},
        {"further": None},
    ],
)
def test_any_other_influence_is_another_artifact(store, change):
    made = make(store)
    assert store.get(NAME, {**IDENTITY, **change}) is None
    assert make(store, {**IDENTITY, **change}).path != made.path


def test_the_manifest_says_what_was_made_and_how(store):
    manifest = make(store, results={"mass": [1.0, float("nan")]}).manifest
    assert manifest["manifest_version"] == 1
    assert manifest["identity"] == IDENTITY
    assert manifest["parents"] == IDENTITY["parents"]
    assert manifest["metrics"] == {"dev": {"accuracy": 0.5}}
    assert manifest["results"] == {"mass": [1.0, None]}
    assert manifest["versions"]["torch"] == str(torch.__version__)
    assert {"git_commit", "created"} <= manifest.keys()
    assert manifest["weights"]["model.safetensors"]["size"] == len(b"weights")


def test_an_artifact_is_a_hugging_face_model_folder(store):
    torch.manual_seed(0)
    model = BertForSequenceClassification(tiny_config()).eval()
    with store.writing(NAME, IDENTITY) as work:
        model.save_pretrained(work.artifact_folder)
        work.finish({})
    loaded = AutoModelForSequenceClassification.from_pretrained(work.artifact.path).eval()
    inputs = torch.arange(6).view(1, 6)
    assert torch.equal(loaded(inputs).logits, model(inputs).logits)
    work.artifact.verify()


def test_an_attempt_that_fails_leaves_its_checkpoints_to_the_next(store):
    with suppress(RuntimeError), store.writing(NAME, IDENTITY) as work:
        (work.checkpoints / "last.ckpt").write_text("epoch 1")
        write_weights(work.artifact_folder)
        raise RuntimeError
    assert store.get(NAME, IDENTITY) is None
    with store.writing(NAME, IDENTITY) as work:
        assert (work.checkpoints / "last.ckpt").read_text() == "epoch 1"
        assert list(work.artifact_folder.iterdir()) == [], "only checkpoints are handed on"


def test_only_a_block_that_finishes_with_weights_makes_an_artifact(store):
    with store.writing(NAME, IDENTITY) as work:
        write_weights(work.artifact_folder)
    assert work.artifact is None
    with pytest.raises(ModelError, match="no weights"), store.writing(NAME, IDENTITY) as work:
        work.finish({})
    assert store.get(NAME, IDENTITY) is None


def stall_while_writing(store, ready):
    with store.writing(NAME, IDENTITY) as work:
        (work.checkpoints / "last.ckpt").write_text("epoch 2")
        write_weights(work.artifact_folder, b"half")
        (work.artifact_folder / MANIFEST).write_text("{")
        ready.set()
        time.sleep(60)


def test_a_killed_attempt_is_never_taken_for_a_finished_one(store):
    kill(started(stall_while_writing, store))
    assert store.get(NAME, IDENTITY) is None
    with store.writing(NAME, IDENTITY) as work:
        assert work.artifact is None
        assert (work.checkpoints / "last.ckpt").read_text() == "epoch 2"
        assert list(work.artifact_folder.iterdir()) == []
        write_weights(work.artifact_folder, b"whole")
        work.finish({})
    assert (store.get(NAME, IDENTITY).path / "model.safetensors").read_bytes() == b"whole"
    assert not work.folder.exists()


def test_a_process_killed_after_the_artifact_was_finished_leaves_it_finished(store, monkeypatch):
    """The kill strikes between the renaming and the removal of the workspace."""
    with monkeypatch.context() as patch:
        patch.setattr("powerbert.store.artifacts.shutil.rmtree", lambda *_, **__: None)
        made = make(store)
    with store.writing(NAME, IDENTITY) as work:
        assert work.artifact == made
        assert work.folder.exists()
    assert not work.folder.exists()


def make_at_once(store, barrier, counted):
    barrier.wait()
    with store.writing(NAME, IDENTITY) as work:
        if work.artifact is None:
            with counted.get_lock():
                counted.value += 1
            time.sleep(0.2)
            write_weights(work.artifact_folder)
            work.finish({})
        work.artifact.verify()


def test_processes_that_start_the_same_run_at_once_train_once(store):
    barrier, counted = FORK.Barrier(3), FORK.Value("i", 0)
    processes = [FORK.Process(target=make_at_once, args=(store, barrier, counted)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert counted.value == 1


def finish_slowly(store, ready):
    with store.writing(NAME, IDENTITY) as work:
        ready.set()
        time.sleep(0.3)
        write_weights(work.artifact_folder)
        work.finish({})


def test_waiting_for_another_process_is_said_once(store, caplog):
    process = started(finish_slowly, store)
    with caplog.at_level("INFO", logger="powerbert.store.artifacts"), store.writing(NAME, IDENTITY) as work:
        assert work.artifact is not None
    process.join(30)
    (message,) = (record.message for record in caplog.records if "waiting" in record.message)
    assert str(store.folder(NAME, IDENTITY)) in message


def refuse_flock(monkeypatch, error):
    """The file system as seen by this process and those that it forks."""

    def refuse(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr("powerbert.store.artifacts.LEASE", 1.0)


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK], ids=["no such call", "no lock manager"])
def test_processes_train_once_where_the_file_system_has_no_locks(store, monkeypatch, error):
    refuse_flock(monkeypatch, error)
    test_processes_that_start_the_same_run_at_once_train_once(store)
    assert not list(store.root.glob("*.lease"))


def test_the_lock_of_a_machine_that_died_is_taken_over(store, monkeypatch):
    refuse_flock(monkeypatch, errno.ENOLCK)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("filelock._marker.host_name", lambda: "another-machine")
        process = started(stall_while_writing, store)
    with pytest.raises(Timeout):  # as long as it lives, it keeps the lock
        SoftFileLease(f"{store.folder(NAME, IDENTITY)}.lease", lease_duration=1.0).acquire(timeout=1.5)
    kill(process)
    assert make(store).path == store.folder(NAME, IDENTITY)


def test_another_error_of_the_file_system_is_not_hidden(store, monkeypatch):
    refuse_flock(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        make(store)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"\xff\xfe\x00", ""),
        (b"{}", "missing"),
        ({"id": 3}, "id"),
        ({"weights": {"model.safetensors": 7}}, r"weights\.model\.safetensors"),
        ({"weights": {"../weights.safetensors": WEIGHTS}}, r"\.\./weights\.safetensors"),
        ({"weights": {"/etc/passwd": WEIGHTS}}, "/etc/passwd"),
        ({"weights": {"sub/../../model.safetensors": WEIGHTS}}, r"sub/\.\./\.\./model\.safetensors"),
        ({"identity": {**IDENTITY, "seed": 1}}, "identity is not that of this run"),
        ({"manifest_version": 2}, "manifest_version: 2 .*newer powerbert"),
    ],
)
def test_a_manifest_that_cannot_be_used_names_the_file_and_the_remedy(store, content, message):
    path = make(store).path
    file = path / MANIFEST
    if isinstance(content, dict):
        content = json.dumps({**json.loads(file.read_text()), **content}).encode()
    file.write_bytes(content)
    with pytest.raises(ModelError, match=rf"^{file}: .*{message}.*delete the folder {path}"):
        store.get(NAME, IDENTITY)
    assert (path / "model.safetensors").exists(), "nothing finished is lost"


def test_a_manifest_that_is_missing(store):
    path = make(store).path
    (path / MANIFEST).unlink()
    with pytest.raises(ModelError, match=f"{path}: no {MANIFEST}"), store.writing(NAME, IDENTITY):
        pass


def test_damaged_weights_are_named(store):
    artifact = make(store, content=b"0123456789")
    artifact.verify()
    write_weights(artifact.path, b"0123456780")
    with pytest.raises(ModelError, match=r"model\.safetensors.*SHA-256"):
        store.get(NAME, IDENTITY).verify()
    write_weights(artifact.path, b"01234")
    with pytest.raises(ModelError, match=r"model\.safetensors.* 5 bytes instead of 10.*delete"):
        store.get(NAME, IDENTITY)
    (artifact.path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors.*is missing"):
        Artifact.load(artifact.path)
