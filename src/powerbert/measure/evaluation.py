"""Running a model over tokenised rows and scoring its logits, outside Lightning's loops."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn

from powerbert.base.progress import progress
from powerbert.data import LengthSortedSampler, PaddingCollator, Task, make_loader, row_lengths
from powerbert.measure.metrics import build_metrics


@contextmanager
def evaluation_mode(*models: nn.Module) -> Iterator[None]:
    """Switch dropout off within the block; afterwards restore the mode of every module."""
    training = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, mode in training:
            module.training = mode


@torch.inference_mode()
def predict_logits(
    model: Any, rows: Dataset, collate: PaddingCollator, batch_size: int, description: str = "Predicting"
) -> Tensor:
    """Run a model over rows in batches of similar length, with a progress bar on a terminal.

    Args:
        model: A module that takes a batch's tensors by name and returns an output with `logits`: a
            transformers model or an exported file. A module without `device` runs on the CPU.
        rows: At least one row of `tokenize`; labels are ignored.
        collate: Pads the rows of a batch.
        batch_size: Rows per batch.
        description: Text of the progress bar.

    Returns:
        Logits in the order of the rows, float32, on the CPU: [rows, classes]; [rows, choices] for multiple
        choice; [rows, 1] for regression.
    """
    sampler = LengthSortedSampler(row_lengths(rows))
    device = getattr(model, "device", "cpu")
    outputs = []
    with evaluation_mode(model):
        for batch in progress(make_loader(rows, collate, sampler, batch_size), description):
            inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
            outputs.append(model(**inputs).logits.float().cpu())
    by_length = torch.cat(outputs)
    logits = torch.empty_like(by_length)
    logits[list(sampler)] = by_length
    return logits


def task_metric(logits: Tensor, labels: Tensor, task: Task) -> float:
    """Compute the metric that a task is judged by from logits [rows, outputs] and labels [rows]."""
    metrics = build_metrics(task.metric, task.num_labels)
    metrics.update(logits.squeeze(-1) if task.is_regression else logits.argmax(-1), labels)
    return metrics.compute()[task.metric].item()
