"""Wall-clock time of a model against its baseline, under the paper's protocol and under today's."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from powerbert.base.errors import ConfigError, DataError
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.timing import Schedule, Times, time_in_turn

Row = Mapping[str, Any]
Batch = dict[str, Tensor]


class Rows(Protocol):
    """Tokenised inputs: a list of rows, or a `datasets.Dataset`."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class Collate(Protocol):
    """Makes a batch of rows, padded to `pad_to` word pieces or, with `None`, to the longest row."""

    def __call__(self, rows: list[Any], pad_to: int | None = None) -> Mapping[str, Tensor]:
        """Pads `rows` to tensors of shape [len(rows), length] or [len(rows), num_choices, length]."""
        ...


@dataclass(frozen=True)
class LatencySettings:
    """How long and on how much to measure.

    Attributes:
        runs: number of timed passes of each model over the batches (the paper: 100).
        warmup: passes before those, which are not counted.
        padded_batch_size: inputs per batch of the padded protocol (the paper: 128).
        dynamic_batch_size: inputs per batch of the dynamic protocol.
        dynamic_batches: at most that many batches of the dynamic protocol are timed.
        statistic: what of the runs is reported, `median` or (as in the paper) `mean`.
        progress: shows a progress bar on a terminal.
    """

    runs: int = 10
    warmup: int = 2
    padded_batch_size: int = 128
    dynamic_batch_size: int = 32
    dynamic_batches: int = 20
    statistic: Literal["median", "mean"] = "median"
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuses what cannot be measured.

        Raises:
            ConfigError: naming the field.
        """
        for name, least in {
            "runs": 1,
            "warmup": 0,
            "padded_batch_size": 1,
            "dynamic_batch_size": 1,
            "dynamic_batches": 1,
        }.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)!r} must be at least {least}")
        if self.statistic not in ("median", "mean"):
            raise ConfigError(f"statistic: '{self.statistic}' is unknown; choose median or mean")


def measure_latency(
    model: nn.Module,
    baseline: nn.Module,
    rows: Rows,
    *,
    max_length: int,
    collate: Collate,
    settings: LatencySettings,
) -> dict[str, dict[str, Any]]:
    """Times a model and its baseline in turn, on the same batches of real inputs; see `measure_latencies`."""
    return measure_latencies(
        [model], baseline, rows, max_length=max_length, collate=collate, settings=settings
    )[0]


def measure_latencies(
    models: Sequence[nn.Module],
    baseline: nn.Module,
    rows: Rows,
    *,
    max_length: int,
    collate: Collate,
    settings: LatencySettings,
) -> list[dict[str, dict[str, Any]]]:
    """Times models and the baseline that all of them are compared with, in turn, on the same real inputs.

    *padded* is the paper's protocol: a large batch, every input padded to `max_length`. *dynamic* is
    what a careful user runs: inputs sorted by length, each batch padded to its longest input; its batches
    are spread evenly over the lengths of the whole set.

    Args:
        models: on the device where they are to be timed.
        baseline: on the same device.
        rows: tokenised inputs, no longer than `max_length` word pieces; `input_ids` of each is a list,
            or for multiple choice a list of lists. They are used again from the start if they do not
            fill a batch.
        max_length: word pieces of an input of the padded protocol.
        collate: pads rows to a batch.
        settings: number of runs, batch sizes.

    Returns:
        Of each model, for `padded` and `dynamic` each: `batch_size`, `model_ms` and `baseline_ms` (per
        batch, of the runs' median or mean), `speedup` (their ratio, above 1 where the model is faster),
        `model_iqr_ms` and `baseline_iqr_ms` (interquartile range over the runs), `runs`, `statistic`,
        `batches`, `mean_length` (word pieces of a padded input), `others` (largest share of the processors
        that other processes used during a run, 0 to 1) and `disturbed` (whether that is too much); both None
        where the system does not tell.

    Raises:
        DataError: if there are no rows.
        ValueError: if the models lie on different devices.
    """
    if len(rows) == 0:
        raise DataError("there are no inputs to measure the latency on; give a split with at least one row")
    device = next(baseline.parameters()).device
    if any(next(model.parameters()).device != device for model in models):
        raise ValueError("models and baseline must lie on the same device")

    def batch(indices: Sequence[int], pad_to: int | None) -> Batch:
        tensors = collate([rows[index] for index in indices], pad_to=pad_to)
        return {name: tensor.to(device) for name, tensor in tensors.items() if name != "labels"}

    protocols = {
        "padded": [batch(fill(range(len(rows)), settings.padded_batch_size), max_length)],
        "dynamic": [
            batch(indices, None)
            for indices in dynamic_batches(rows, settings.dynamic_batch_size, settings.dynamic_batches)
        ],
    }
    total = len(protocols) * (settings.warmup + settings.runs)
    console = Console(stderr=True)
    # Redrawn between the runs only: a refreshing thread would take time from the model.
    bar = Progress(
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not (settings.progress and console.is_terminal),
    )
    with bar, evaluation_mode(*models, baseline), torch.inference_mode():
        task = bar.add_task("measuring latency", total=total)

        def advance() -> None:
            bar.update(task, advance=1, refresh=True)

        times = {
            name: time_in_turn(
                [
                    {number: partial(each, **batch) for number, each in enumerate([*models, baseline])}
                    for batch in batches
                ],
                device,
                Schedule(settings.runs, settings.warmup, statistic=settings.statistic),
                advance=advance,
            )
            for name, batches in protocols.items()
        }
    return [
        {name: _summary(times[name], index, protocols[name]) for name in protocols}
        for index in range(len(models))
    ]


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
    """The first `size` indices, beginning again as often as needed."""
    return list(itertools.islice(itertools.cycle(indices), size))


def dynamic_batches(rows: Rows, batch_size: int, most: int) -> list[list[int]]:
    """Batches of neighbours in the order of length, their centres evenly spread over it.

    With as many batches as the set fills, they cover it whole.

    Args:
        rows: tokenised inputs.
        batch_size: inputs of each batch; used again from the start if there are fewer.
        most: number of batches, at most.

    Returns:
        Indices into `rows`, batch by batch.
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


def _length(row: Row) -> int:
    """Word pieces of a row; of the longest choice, where it has several."""
    input_ids = row["input_ids"]
    return max(map(len, input_ids)) if isinstance(input_ids[0], Sequence) else len(input_ids)
