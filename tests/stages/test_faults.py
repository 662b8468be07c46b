"""A fault ends a training in one message and loses nothing."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from powerbert.base.errors import TrainingError
from powerbert.stages import FineTune
from powerbert.stages.faults import explaining_memory
from tests.stages.trainings import finetune


def losing(patch, call, value):
    """Multiply the loss of one step by a value, and collect its batch."""
    calls, batches, original = [0], [], FineTune.loss

    def loss(self, batch):
        calls[0] += 1
        if calls[0] != call:
            return original(self, batch)
        batches.append({name: tensor.clone() for name, tensor in batch.items()})
        return original(self, batch) * value

    patch.setattr(FineTune, "loss", loss)
    return batches


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_batch(
    undisturbed, corpus, tmp_path, monkeypatch, value
):
    with monkeypatch.context() as patch:
        batches = losing(patch, 8, value)
        with pytest.raises(TrainingError) as raised:
            finetune(corpus, tmp_path)
    (path,) = tmp_path.glob("artifacts/*.partial/checkpoints/*.safetensors")
    message = str(raised.value)
    assert message.startswith(
        f"finetune: the loss is {value} in epoch 2, step 8, where the weights are finite"
    )
    assert str(path) in message
    kept = load_file(path)
    assert kept.keys() == batches[0].keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in batches[0].items())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"loss": str(value), "where": "epoch 2, step 8", "weights": "finite"}
    assert finetune(corpus, tmp_path) == undisturbed, "the weights never saw it"


def test_the_message_says_that_the_weights_are_lost_already(corpus, tmp_path, monkeypatch):
    lose = lambda stage: next(stage.parameters()).data.fill_(float("nan"))  # noqa: E731
    monkeypatch.setattr(FineTune, "on_train_start", lose)
    with pytest.raises(TrainingError, match="in epoch 1, step 1, where the weights are not finite"):
        finetune(corpus, tmp_path)


def allocate():
    torch.empty(2**60, dtype=torch.uint8)


def out_of_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    ("hook", "call", "happens", "fitted"),
    [
        ("training_step", 3, allocate, "the largest that fitted had 16 inputs of"),
        ("training_step", 3, out_of_gpu, "the largest that fitted had 16 inputs of"),
        ("training_step", 1, allocate, "none fitted before"),
        ("validation_step", 1, allocate, "the largest that fitted had 16 inputs of"),
    ],
)
def test_running_out_of_memory_names_the_batch_and_the_largest_that_fitted(
    disturbed, hook, call, happens, fitted
):
    message = str(disturbed(TrainingError, hook, call, happens))
    assert message.startswith("finetune: out of memory on a batch of 16 inputs of ")
    assert fitted in message
    assert "batch_size=8" in message


def test_other_errors_are_none_of_memory():
    with pytest.raises(RuntimeError, match="a bug"), explaining_memory(lambda: "out of memory"):
        raise RuntimeError("a bug")
    with pytest.raises(TrainingError, match="out of memory"), explaining_memory(lambda: "out of memory"):
        raise MemoryError


def test_an_artifact_that_is_finished_survives_the_fault_of_a_later_stage(corpus, tmp_path, monkeypatch):
    finished = finetune(corpus, tmp_path)
    losing(monkeypatch, 1, float("nan"))
    with pytest.raises(TrainingError):
        finetune(corpus, tmp_path, "seed=1")
    paths = [path for path in tmp_path.glob("artifacts/*/manifest.json") if ".partial" not in str(path)]
    assert [json.loads(path.read_text())["id"] for path in paths] == [finished["id"]]
