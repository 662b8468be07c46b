"""Checks that an exported file computes what its model does, on made-up inputs and on a dataset's split."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from powerbert.data import PaddingCollator, Task
from powerbert.export.graph import SHORTEST
from powerbert.export.host import find_baseline
from powerbert.measure import LatencySettings, measure_latencies
from powerbert.measure.evaluation import (
    Thresholds,
    decide,
    evaluation_mode,
    predict_logits,
    task_metric,
    thresholds_of,
)
from powerbert.models import load_model
from powerbert.predict.subject import Subject

TOLERANCE = 1e-4
"""The largest accepted difference between the logits of a float32 file and those of its model."""

Batch = dict[str, Tensor]
Entries = dict[str, Any]
"""Entries of a file's record."""


def agreement(one: Tensor, other: Tensor, task: Task, thresholds: Thresholds = None) -> Entries:
    """Compare the logits of two models for a task, both [inputs, outputs]; NaN agrees with nothing.

    Returns:
        `inputs`, their number; `largest_difference` of two logits; `beyond_tolerance`, the inputs whose
        logits differ by more than `TOLERANCE`; `labels_differing`, the inputs whose labels differ, and
        `labels_equal`, whether there are none: both None for a single output.
    """
    differences = (one - other).abs().amax(dim=1).nan_to_num(nan=torch.inf)
    differing = None
    if one.shape[1] > 1:
        differs = decide(one, task, thresholds) != decide(other, task, thresholds)
        differing = int(differs.view(len(one), -1).any(1).sum())
    return {
        "inputs": len(one),
        "largest_difference": differences.max().item(),
        "beyond_tolerance": int((differences > TOLERANCE).sum()),
        "labels_differing": differing,
        "labels_equal": None if differing is None else differing == 0,
    }


def within_tolerance(found: Mapping[str, Any]) -> bool:
    """Return whether at most one input in ten differs.

    Two word-vectors of equal significance up to rounding may change places and so change an input's logits.
    An error of the export shows in more inputs.
    """
    return 10 * found["beyond_tolerance"] <= found["inputs"]


def made_up_batches(
    tokenizer: PreTrainedTokenizerBase, task: Task, names: Sequence[str], max_length: int
) -> list[Batch]:
    """Draw batches of random words: single inputs of many lengths, one-word inputs, and unequal lengths.

    Args:
        tokenizer: The model's.
        task: Says how many sequences make an input.
        names: The tensors that the model takes.
        max_length: Word pieces of the longest input.
    """
    random = torch.Generator().manual_seed(0)
    words = torch.tensor(sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids)))
    lengths = sorted({SHORTEST, 3, *(max(SHORTEST, max_length * part // 8) for part in (1, 2, 3, 5, 8))})
    collate = PaddingCollator(tokenizer, task)

    def sequence(length: int) -> dict[str, Any]:
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
    """Return the model's logits of all inputs of the batches, [inputs, outputs], in float32."""
    with evaluation_mode(model):
        return torch.cat([model(**batch).logits.float() for batch in batches])


def try_files(subject: Subject, files: Sequence[nn.Module], settings: LatencySettings) -> list[Entries]:
    """Run a model, on the CPU, and its opened files on the subject's rows, and time them in turn.

    Returns:
        For each file its `agreement` with the model, its own `metric` and `latency`, those of the model
        (`pytorch`), and the fine-tuned model's metric (`baseline`).
    """
    task, rows = subject.task, subject.encoded

    def predict(model: nn.Module) -> Tensor:
        return predict_logits(model, rows, subject.collate, subject.batch_size)

    models = [subject.model, *files]
    expected, *logits = [predict(model) for model in models]
    given = load_model(subject.folder) if subject.cls_alone else subject.model
    name, baseline = find_baseline(subject.folder, given)
    own_thresholds, thresholds = thresholds_of(subject.model), thresholds_of(baseline)
    baseline_metric = None if name is None else task_metric(predict(baseline), rows, task, thresholds)
    reference, *latencies = measure_latencies(
        models, baseline, rows, max_length=subject.max_length, collate=subject.collate, settings=settings
    )
    return [
        {
            **agreement(own, expected, task, own_thresholds),
            "metric": {"name": task.metric, "value": task_metric(own, rows, task, own_thresholds)},
            "latency": latency,
            "pytorch": {
                "metric": task_metric(expected, rows, task, own_thresholds),
                "latency": reference,
            },
            "baseline": {"artifact": name, "metric": baseline_metric},
        }
        for own, latency in zip(logits, latencies, strict=True)
    ]
