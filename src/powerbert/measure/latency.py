"""Wall-clock time of models and their baseline, padded as in the paper and batched by length."""

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from datasets import Dataset
from torch import Tensor, nn

from powerbert.base.errors import DataError
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.settings import LatencySettings
from powerbert.measure.timing import Schedule, Times, time_in_turn

Batch = dict[str, Tensor]
Rows: TypeAlias = Sequence[Mapping[str, Any]] | Dataset
"""Tokenised inputs; `input_ids` of each is a list, or a list of lists for multiple choice."""


def measure_latencies(
    models: Sequence[nn.Module],
    baseline: nn.Module,
    rows: Rows,
    *,
    max_length: int,
    collate: Callable[..., Mapping[str, Tensor]],
    settings: LatencySettings,
    protocols: Sequence[str] = ("padded", "dynamic"),
) -> list[dict[str, dict[str, Any]]]:
    """Time models and their common baseline, all on one device, in turn on the same batches.

    *padded* is the paper's protocol: one large batch, every input padded to `max_length`. *dynamic* batches
    inputs of similar length and pads each batch to its longest input; its batches are spread evenly over the
    lengths of the whole set.

    Args:
        rows: inputs of at most `max_length` word pieces; too few for a batch are repeated.
        collate: given a list of rows and `pad_to`, a number of word pieces or None for the longest row,
            returns tensors of shape [rows, length] or [rows, choices, length].

    Returns:
        For each model, by protocol, with: `batch_size`; `model_ms` and `baseline_ms` (per batch,
        median or mean of the runs); `speedup` (their ratio, above 1 if the model is faster); `model_iqr_ms`
        and `baseline_iqr_ms` (interquartile range over the runs); `runs`; `statistic`; `batches`;
        `mean_length` (word pieces of a padded input); `others` (largest share of the processors that other
        processes used in a run, 0 to 1) and `disturbed` (whether that is too much), both None if unknown.

    Raises:
        DataError: if there are no rows.
        ValueError: if the models are on different devices.
    """
    if len(rows) == 0:
        raise DataError("there are no inputs to measure the latency on; give a split with at least one row")
    device = next(baseline.parameters()).device
    if any(next(model.parameters()).device != device for model in models):
        raise ValueError("models and baseline must be on the same device")

    def batch(indices: Sequence[int], pad_to: int | None) -> Batch:
        tensors = collate([rows[index] for index in indices], pad_to=pad_to)
        return {name: tensor.to(device) for name, tensor in tensors.items() if name != "labels"}

    def padded() -> list[Batch]:
        return [batch(fill(range(len(rows)), settings.padded_batch_size), max_length)]

    def dynamic() -> list[Batch]:
        spread = dynamic_batches(rows, settings.dynamic_batch_size, settings.dynamic_batches)
        return [batch(indices, None) for indices in spread]

    known = {"padded": padded, "dynamic": dynamic}
    schedule = Schedule(
        settings.runs, settings.warmup, statistic=settings.statistic, patience=settings.patience
    )
    measured: list[dict[str, dict[str, Any]]] = [{} for _ in models]
    with evaluation_mode(*models, baseline), torch.inference_mode():
        for name in protocols:
            batches = known[name]()
            rounds = [
                {number: partial(each, **batch) for number, each in enumerate([*models, baseline])}
                for batch in batches
            ]
            times = time_in_turn(rounds, device, schedule, f"Timing {name} batches")
            for index, latency in enumerate(measured):
                latency[name] = _summary(times, index, batches)
    return measured


def _summary(times: Times[int], index: int, batches: list[Batch]) -> dict[str, Any]:
    """Describe one model's times of one protocol; the baseline is the last of the models."""
    last = len(times.runs) - 1
    return {
        "batch_size": len(batches[0]["input_ids"]),
        "model_ms": times.ms(index),
        "baseline_ms": times.ms(last),
        "speedup": times.speedup(index, last),
        "model_iqr_ms": times.iqr_ms(index),
        "baseline_iqr_ms": times.iqr_ms(last),
        "runs": len(times.runs[index]),
        "statistic": times.statistic,
        "batches": len(batches),
        "mean_length": statistics.fmean(batch["input_ids"].shape[-1] for batch in batches),
        "disturbed": times.disturbed,
        "others": times.others,
    }


def fill(indices: Sequence[int], size: int) -> list[int]:
    """Return the first `size` indices, repeated from the start if there are too few."""
    return list(itertools.islice(itertools.cycle(indices), size))


def dynamic_batches(rows: Rows, batch_size: int, most: int) -> list[list[int]]:
    """Choose at most `most` batches of inputs of similar length, spread evenly over all lengths.

    Returns:
        Indices into `rows`, batch by batch; repeated from the start if there are too few rows for one batch.
    """
    lengths = [_length(rows[index]) for index in range(len(rows))]
    by_length = sorted(range(len(rows)), key=lengths.__getitem__)
    if len(by_length) <= batch_size:
        return [fill(by_length, batch_size)]
    count = min(most, -(-len(by_length) // batch_size))
    last = len(by_length) - batch_size
    centers = ((number + 0.5) * len(by_length) / count for number in range(count))
    starts = (min(max(round(center - batch_size / 2), 0), last) for center in centers)
    return [by_length[start : start + batch_size] for start in starts]


def single_inputs(
    rows: Rows, collate: Callable[..., Mapping[str, Tensor]], pad_to: int | None = None, most: int = 64
) -> list[Mapping[str, Tensor]]:
    """Make batches of one input each from at most `most` rows, spread evenly over all lengths."""
    return [collate([rows[index]], pad_to=pad_to) for (index,) in dynamic_batches(rows, 1, most)]


def _length(row: Mapping[str, Any]) -> int:
    """Count the word pieces of a row; of its longest choice for multiple choice."""
    input_ids = row["input_ids"]
    return max(map(len, input_ids)) if isinstance(input_ids[0], Sequence) else len(input_ids)
