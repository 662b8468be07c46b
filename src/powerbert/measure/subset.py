"""The metric on long inputs alone, where the selection of word-vectors matters (Table 3)."""

from typing import Any

import torch
from torch import nn

from powerbert.data import LengthSortedSampler, TextDataModule, row_lengths
from powerbert.measure.evaluation import predict_logits, task_metric


def evaluate_longer(
    model: nn.Module, baseline: nn.Module, data: TextDataModule, word_pieces: int
) -> dict[str, Any]:
    """Evaluate two models on the long inputs of the evaluation split.

    Args:
        model: Takes a batch of `data` and returns an output with `logits`.
        baseline: The model to compare with.
        data: A data module after `setup`.
        word_pieces: Inputs with more word pieces than this are long. Special pieces count; of several
            choices the longest counts.

    Returns:
        `word_pieces`, `inputs` (the number of long inputs), and the task's metric of the model as `value` and
        of the other as `baseline`; both are None if no input is long.
    """
    rows = data.dataset[data.task.evaluation_split]
    lengths = row_lengths(rows)
    # In the order in which the loader takes them: a correlation depends in its last digits on the order.
    longer = rows.select([index for index in LengthSortedSampler(lengths) if lengths[index] > word_pieces])
    values: dict[str, float | None] = {"value": None, "baseline": None}
    if len(longer):
        labels = torch.as_tensor(longer["label"][:])
        for name, evaluated in zip(values, (model, baseline), strict=True):
            logits = predict_logits(
                evaluated, longer, data.collate, data.eval_batch_size, "Evaluating long inputs"
            )
            values[name] = task_metric(logits, labels, data.task)
    return {"word_pieces": word_pieces, "inputs": len(longer), **values}
