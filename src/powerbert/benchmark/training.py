"""A training step of the configuration search against one of fine-tuning, timed side by side."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from powerbert.benchmark.inputs import Inputs
from powerbert.benchmark.pair import Pair
from powerbert.benchmark.results import Training
from powerbert.benchmark.settings import Settings
from powerbert.data import Task
from powerbert.measure.latency import Batch
from powerbert.measure.timing import time_in_turn
from powerbert.stages import FineTune, Optimization, Search, Stage

OPTIMIZATION = Optimization(learning_rate=2e-5)
LAMBDA, RETENTION_LEARNING_RATE = 1e-3, 3e-3


def measure_training(
    pair: Pair, inputs: Inputs, length: int, batch_size: int, settings: Settings
) -> Training:
    """Times whole steps: forward pass, loss (with the regularizer), backward pass, optimizer, projection.

    The steps are those of the stages, in float32 and with dropout, on one padded batch; the weights travel as
    in training.

    Args:
        pair: of models; both train copies of its weights.
        inputs: what they are trained on; labels are made up.
        length: word pieces of a padded input.
        batch_size: inputs of a batch.
        settings: where, and how often.
    """
    task, device = _task(pair, length), settings.device
    plain = FineTune(pair.plain(), task, OPTIMIZATION)
    soft = Search(
        pair.soft(length),
        task,
        OPTIMIZATION,
        lambda_=LAMBDA,
        retention_learning_rate=RETENTION_LEARNING_RATE,
    )
    calls = {
        "plain": training_step(plain.to(device)),
        "soft": training_step(soft.to(device), project=soft.soft_extract.clip_),
    }
    (batch,) = inputs.batches("padded", batch_size, length, 1)
    labelled = {**batch, "labels": _labels(task, batch_size)}
    on_device = {name: tensor.to(device) for name, tensor in labelled.items()}
    steps = {name: partial(step, on_device) for name, step in calls.items()}
    times = time_in_turn([steps], device, settings.schedule)
    return Training(
        length=length,
        batch_size=batch_size,
        plain_ms=times.ms("plain"),
        plain_iqr_ms=times.iqr_ms("plain"),
        soft_ms=times.ms("soft"),
        soft_iqr_ms=times.iqr_ms("soft"),
        time_ratio=times.speedup("plain", "soft"),
        runs=len(times.runs["plain"]),
        disturbed=times.disturbed,
        others=times.others,
    )


def training_step(stage: Stage, project: Callable[[], None] = lambda: None) -> Callable[[Batch], None]:
    """A step of a stage without Lightning around it, and without its schedule of learning rates.

    Args:
        stage: on its device.
        project: called after the optimizer's step.
    """
    stage.train()
    optimizer = torch.optim.AdamW(stage.parameter_groups(), lr=OPTIMIZATION.learning_rate, fused=True)

    def step(batch: Batch) -> None:
        stage.loss(batch).backward()
        optimizer.step()
        project()
        optimizer.zero_grad()

    return step


def _task(pair: Pair, length: int) -> Task:
    """What the model predicts, as far as the loss depends on it."""
    outputs = pair.config.num_labels or 1
    names = None if outputs == 1 else tuple(map(str, range(outputs)))
    return Task("benchmark", ("text",), names, "spearman" if names is None else "accuracy", length)


def _labels(task: Task, batch_size: int) -> Tensor:
    return torch.zeros(batch_size, dtype=torch.float32 if task.is_regression else torch.int64)
