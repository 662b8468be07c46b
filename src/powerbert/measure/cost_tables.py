"""Tables of what one encoder costs at each width, counted in operations or measured as time on a device."""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from powerbert.base.environment import describe_environment
from powerbert.base.files import content_hash
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.timing import Schedule, time_in_turn
from powerbert.models import classify, embed, host_encoders
from powerbert.models.encoder import encode, encode_and_extract

KINDS = ("operations", "time")

RUNS = 5
"""Timed runs of each entry; the quickest counts, since what disturbs a run makes it longer."""
WORDS = 2048
"""Words of a timed batch on a CPU, which more of them do not use any better; the batch's time is scaled."""


def cost_tables(
    model: Any, longest: int, kind: str, batch_size: int
) -> tuple[dict[str, Tensor], bool | None]:
    """Count or measure the tables of `CostModel` with the encoders of a power model, which are alike.

    Args:
        longest: word-vectors of the longest input.
        kind: `operations`, or `time` on the model's device.
        batch_size: inputs in a batch.

    Returns:
        The tables, and whether other processes disturbed the measurement; None if unknown.
    """
    widths, disturbed = _widths(longest), None
    if kind == "operations":
        model = copy.deepcopy(model).to("meta")
    with evaluation_mode(model), torch.inference_mode():
        calls = _calls(model, widths, batch_size)
        if kind == "operations":
            costs = {key: _operations(call) for key, call in calls.items()}
        else:
            schedule = Schedule(RUNS, warmup=1)
            times = time_in_turn([calls], model.device, schedule, "Timing an encoder at all widths")
            scale = {width: batch_size / _inputs(width, batch_size, model.device) for width in widths}
            costs = {key: min(runs) * scale[widths[key[1]]] for key, runs in times.runs.items()}
            disturbed = times.disturbed
    tables = {name: torch.zeros(len(widths)) for name in ("dense", "alone", "rest")}
    tables["eliminating"] = torch.zeros(len(widths), len(widths))
    for (name, row, column), value in costs.items():
        if name == "eliminating":
            tables[name][row, column:] = value  # more than it is given cannot be retained
        else:
            tables[name][row] += value
    tables["widths"] = torch.tensor(widths, dtype=torch.float)
    return tables, disturbed


def _calls(
    model: Any, widths: Sequence[int], batch_size: int
) -> dict[tuple[str, int, int], Callable[[], object]]:
    """Return what to measure, by table, row and column; entries of `rest` are added."""
    device, score, encoders = model.device, model.base_model.score(), itertools.cycle(host_encoders(model))
    calls: dict[tuple[str, int, int], Callable[[], object]] = {}
    for row, given in enumerate(widths):
        encoder, inputs = next(encoders), _inputs(given, batch_size, device)
        words = torch.zeros(inputs, given, dtype=torch.long, device=device)
        # Operations are counted without padding, as `count_flops` does.
        mask = None if device.type == "meta" else torch.ones_like(words, dtype=torch.bool)
        real, first = torch.ones_like(words, dtype=torch.bool), torch.zeros_like(words[:, :1])
        hidden = torch.randn(embed(model, input_ids=words).shape, device=device)
        calls["dense", row, 0] = partial(encode, encoder, hidden, mask)
        calls["alone", row, 0] = partial(encode, encoder, hidden, mask, first)
        calls["rest", row, 0] = partial(embed, model, input_ids=words)
        calls["rest", row, 1] = partial(classify, model, hidden, real)
        for column, kept in enumerate(widths[: row + 1]):
            own = torch.full((inputs,), kept, device=device)
            calls["eliminating", row, column] = partial(
                encode_and_extract, encoder, hidden, mask, kept, score, own
            )
    return calls


def _inputs(width: int, batch_size: int, device: torch.device) -> int:
    """Return how many inputs of a width to run at once to learn the cost of a batch."""
    return max(1, min(batch_size, WORDS // width)) if device.type == "cpu" else batch_size


def fingerprint(model: Any, longest: int, batch_size: int) -> str:
    """Return a name for what determines the times: device, software, and sizes of model and batch."""
    here = describe_environment(model.device)
    encoder = host_encoders(model)[0]
    config = model.config
    return content_hash(
        {
            **{key: here[key] for key in ("torch", "powerbert", "cpu", "threads", "device")},
            "model": [model.config.model_type, model.num_parameters(), str(model.dtype)],
            "heads": [encoder.query.out_features, encoder.head_size],
            "score": [config.significance, config.significance_diagonal, config.significance_pad_queries],
            "sizes": [longest, batch_size],
        }
    )


def _widths(longest: int) -> list[int]:
    steps = [1, 2, 4, 8]
    while steps[-1] < longest:
        steps += [steps[-1] * 3 // 2, steps[-1] * 2]
    return [*(width for width in steps if width < longest), max(longest, 2)]


def _operations(call: Callable[[], object]) -> float:
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return float(counter.get_total_flops())
