"""Run a model over tokenised rows and score its logits, outside Lightning's loops."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn

from powerbert.base.errors import ModelError, shorten
from powerbert.base.progress import progress
from powerbert.data import (
    QUERY,
    LengthSortedSampler,
    PaddingCollator,
    Task,
    TextDataModule,
    make_loader,
    row_lengths,
)
from powerbert.measure.metrics import PER_CLASS, build_metrics, has_labels, label_metrics, per_class


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
    model: Any,
    rows: Dataset,
    collate: PaddingCollator,
    batch_size: int,
    description: str | None = "Predicting",
) -> Tensor:
    """Run a model over rows in batches of similar length, with a progress bar on a terminal.

    Args:
        model: takes a batch's tensors by name and returns an output with `logits`: a transformers model or
            an exported file. A module without `device` runs on the CPU.
        rows: at least one row of `tokenize`; labels are ignored.
        description: of the progress bar; None for no bar.

    Returns:
        Logits in the order of the rows, float32, on the CPU: [rows, classes]; [rows, choices] for multiple
        choice; [rows, 1] for regression and reranking.
    """
    sampler = LengthSortedSampler(row_lengths(rows))
    device = getattr(model, "device", "cpu")
    outputs = []
    with evaluation_mode(model):
        batches = make_loader(rows, collate, sampler, batch_size)
        for batch in batches if description is None else progress(batches, description):
            inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
            outputs.append(model(**inputs).logits.float().cpu())
    by_length = torch.cat(outputs)
    logits = torch.empty_like(by_length)
    logits[list(sampler)] = by_length
    return logits


@torch.inference_mode()
def mean_retained(model: Any, rows: Dataset, collate: PaddingCollator, batch_size: int) -> list[float]:
    """Average how many words of an input, or of a choice, leave each encoder of a power model, [L]."""
    batches = make_loader(rows, collate, LengthSortedSampler(row_lengths(rows)), batch_size)
    numbers = []
    with evaluation_mode(model):
        for batch in progress(batches, "Retained words"):
            inputs = {name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"}
            retained = model.retained_word_vectors(**inputs)
            numbers.append(torch.stack([encoder.mask.sum(dim=1) for encoder in retained]))
    return torch.cat(numbers, dim=1).double().mean(dim=1).tolist()


Thresholds = Sequence[float] | None
"""The probability from which an input has each label; None for 0.5, and for tasks without labels."""


def thresholds_of(model: Any) -> Thresholds:
    """Return the thresholds in a model's config, which were chosen on dev.

    Raises:
        ModelError: unless they are as many numbers as there are labels.
    """
    config: Any = getattr(model, "config", None)
    found = getattr(config, "label_thresholds", None)
    if found is None:
        return None
    numbers = isinstance(found, list | tuple) and all(type(value) in (int, float) for value in found)
    if not numbers or len(found) != config.num_labels:
        needed = f"{config.num_labels} numbers, one for each label"
        raise ModelError(f"config.json: label_thresholds: {shorten(found)} must be {needed}")
    return found


def decide(logits: Tensor, task: Task, thresholds: Thresholds = None) -> Tensor:
    """Decide what logits, [rows, outputs], say.

    Returns:
        Values or class indices, [rows]; for multi-label classification 0 and 1, [rows, labels].
    """
    if task.is_multi_label:
        return has_labels(logits, thresholds).long()
    return logits.float().squeeze(-1) if task.num_labels == 1 else logits.argmax(-1)


def task_metrics(logits: Tensor, rows: Dataset, task: Task, thresholds: Thresholds = None) -> dict[str, Any]:
    """Compute a task's metrics from logits, [rows, outputs], of labelled rows of `tokenize`.

    With them comes the table `PER_CLASS`, if there are classes.
    """
    labels = torch.as_tensor(rows["label"][:])
    if task.is_multi_label:
        values = label_metrics(task.metric, logits, labels, thresholds)
    else:
        metrics = build_metrics(task)
        queries = torch.as_tensor(rows[QUERY][:]) if task.is_reranking else None
        metrics.update(decide(logits, task), labels, indexes=queries)
        values = metrics.compute()
    return readable(values, task, thresholds)


def readable(
    values: Mapping[str, Tensor], task: Task, thresholds: Tensor | Thresholds = None
) -> dict[str, Any]:
    """Convert what `build_metrics` computes to numbers, and a table of the classes."""
    names, own = task.label_names or (), thresholds if task.is_multi_label else None
    return {
        name: per_class(names, value, own) if name == PER_CLASS else value.item()
        for name, value in values.items()
    }


def task_metric(logits: Tensor, rows: Dataset, task: Task, thresholds: Thresholds = None) -> float:
    """Compute the metric that a task is judged by; see `task_metrics`."""
    return task_metrics(logits, rows, task, thresholds)[task.metric]


def evaluate_longer(
    model: nn.Module, baseline: nn.Module, data: TextDataModule, word_pieces: int
) -> dict[str, Any]:
    """Evaluate two models on the long inputs of the evaluation split (Table 3); `data` is set up.

    An input is long if it has more than `word_pieces`, special pieces included; of several choices the
    longest counts.

    Returns:
        `word_pieces`, `inputs` (the number of long inputs), and the task's metric of the model as `value` and
        of the other as `baseline`; both are None if no input is long.
    """
    rows = data.dataset[data.task.evaluation_split]
    lengths = row_lengths(rows)
    # In the loader's order, on which the last digits of a correlation depend.
    longer = rows.select([index for index in LengthSortedSampler(lengths) if lengths[index] > word_pieces])
    values: dict[str, float | None] = {"value": None, "baseline": None}
    if len(longer):
        for name, evaluated in (("value", model), ("baseline", baseline)):
            logits = predict_logits(evaluated, longer, data.collate, data.eval_batch_size, "Long inputs")
            values[name] = task_metric(logits, longer, data.task, thresholds_of(evaluated))
    return {"word_pieces": word_pieces, "inputs": len(longer), **values}
