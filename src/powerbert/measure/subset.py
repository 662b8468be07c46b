"""The metric on long inputs alone, where a selection of word-vectors matters (Table 3)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from powerbert.base.progress import progress
from powerbert.data import LengthSortedSampler, TextDataModule, make_loader, row_lengths
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.metrics import build_metrics


def evaluate_longer(
    model: nn.Module, baseline: nn.Module, data: TextDataModule, word_pieces: int
) -> dict[str, Any]:
    """Evaluates two models on the long inputs of the evaluation split.

    Args:
        model: takes a batch of `data` and returns logits.
        baseline: what it is compared with.
        data: already set up.
        word_pieces: inputs of more word pieces than this are long, special ones included; of several
            choices the longest counts.

    Returns:
        `word_pieces`, `inputs` (how many are long), and the task's metric: `value` of the model and
        `baseline`, both None if no input is long.
    """
    rows = data.dataset[data.task.evaluation_split]
    longer = np.flatnonzero(row_lengths(rows) > word_pieces)
    values: dict[str, float | None] = {"value": None, "baseline": None}
    if len(longer):
        values = {
            name: _metric(evaluated, rows.select(longer), data)
            for name, evaluated in zip(values, (model, baseline), strict=True)
        }
    return {"word_pieces": word_pieces, "inputs": len(longer), **values}


@torch.inference_mode()
def _metric(model: Any, rows: Any, data: TextDataModule) -> float:
    task = data.task
    metrics = build_metrics(task.metric, task.num_labels)
    loader = make_loader(rows, data.collate, LengthSortedSampler(row_lengths(rows)), data.eval_batch_size)
    with evaluation_mode(model):
        for batch in progress(loader, "Evaluating long inputs"):
            labels = batch.pop("labels")
            inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
            logits = model(**inputs).logits.float().cpu()
            metrics.update(logits.squeeze(-1) if task.is_regression else logits.argmax(-1), labels)
    return metrics.compute()[task.metric].item()
