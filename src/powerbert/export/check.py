"""Whether an exported file computes what its model does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from powerbert.base.progress import progress
from powerbert.data import LengthSortedSampler, PaddingCollator, Task, make_loader, row_lengths
from powerbert.export.graph import SHORTEST
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.metrics import build_metrics

TOLERANCE = 1e-4
"""Between the logits of a file in float32 and those of its model."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Agreement:
    """How two models' logits for the same inputs agree.

    Attributes:
        inputs: How many there were.
        largest_difference: Of any two logits.
        beyond_tolerance: How many inputs have logits that differ by more than `TOLERANCE`.
        labels_differing: How many inputs have different labels; None for regression.
    """

    inputs: int
    largest_difference: float
    beyond_tolerance: int
    labels_differing: int | None

    @property
    def within_tolerance(self) -> bool:
        """Whether all inputs but single ones agree.

        Two word-vectors whose significance is equal but for rounding may change places, and with them an
        input's logits. An error of the export shows in more than one input in ten.
        """
        return 10 * self.beyond_tolerance <= self.inputs


def agreement(one: Tensor, other: Tensor, is_regression: bool) -> Agreement:
    """Compare logits, [inputs, outputs] both; a value that is no number agrees with nothing."""
    differences = (one - other).abs().amax(dim=1).nan_to_num(nan=torch.inf)
    labels = None if is_regression else int((one.argmax(1) != other.argmax(1)).sum())
    return Agreement(len(one), differences.max().item(), int((differences > TOLERANCE).sum()), labels)


def made_up_batches(
    tokenizer: PreTrainedTokenizerBase, task: Task, names: Sequence[str], max_length: int
) -> list[Batch]:
    """Inputs of words drawn at random, in batches that put an export to the test.

    Args:
        tokenizer: Of the model.
        task: Says how many sequences make an input.
        names: Of the tensors that the model takes.
        max_length: Word pieces of the longest input.

    Returns:
        Single inputs of all kinds of lengths, a batch of one-word inputs, and batches of unequal lengths.
    """
    random = torch.Generator().manual_seed(0)
    words = torch.tensor(sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids)))
    lengths = sorted({SHORTEST, 3, *(max(SHORTEST, max_length * part // 8) for part in (1, 2, 3, 5, 8))})
    collate = PaddingCollator(tokenizer, task)

    def sequence(length: int) -> dict[str, list[int]]:
        drawn = words[torch.randint(len(words), (length - 2,), generator=random)].tolist()
        tensors = {
            "input_ids": [tokenizer.cls_token_id, *drawn, tokenizer.sep_token_id],
            "attention_mask": [1] * length,
            "token_type_ids": [0] * (length - length // 2) + [1] * (length // 2),
        }
        return {name: tensors[name] for name in names}

    def row(length: int) -> dict[str, Any]:
        if not task.is_multiple_choice:
            return sequence(length)
        choices = [sequence(length) for _ in range(task.num_choices)]
        return {name: [choice[name] for choice in choices] for name in names}

    batches = [[length] for length in lengths] + [[3] * 4, lengths, lengths[:-1]]
    return [collate([row(length) for length in batch]) for batch in batches]


@torch.inference_mode()
def batch_logits(model: Any, batches: Iterable[Batch]) -> Tensor:
    """The model's logits of all inputs of some batches, [inputs, outputs], in float32."""
    with evaluation_mode(model):
        return torch.cat([model(**batch).logits.float() for batch in batches])


@torch.inference_mode()
def row_logits(model: Any, rows: Dataset, collate: PaddingCollator, batch_size: int) -> Tensor:
    """The model's logits of tokenised rows, in batches of like length.

    Args:
        model: On the CPU.
        rows: Made by `tokenize`.
        collate: Pads them.
        batch_size: Inputs of a batch.

    Returns:
        Logits in the order of the rows, [rows, outputs], in float32.
    """
    sampler = LengthSortedSampler(row_lengths(rows))
    loader = progress(make_loader(rows, collate, sampler, batch_size), "Predicting")
    by_length = batch_logits(model, _unlabelled(loader))
    logits = torch.empty_like(by_length)
    logits[list(sampler)] = by_length
    return logits


def metric_of(logits: Tensor, labels: Tensor, task: Task) -> float:
    """The task's metric.

    Args:
        logits: [rows, outputs].
        labels: [rows].
        task: Says which metric.
    """
    metrics = build_metrics(task.metric, task.num_labels)
    metrics.update(logits.squeeze(-1) if task.is_regression else logits.argmax(-1), labels)
    return metrics.compute()[task.metric].item()


def _unlabelled(loader: Any) -> Iterator[Batch]:
    for batch in loader:
        batch.pop("labels", None)
        yield batch
