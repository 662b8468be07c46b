"""What a retention costs before it exists: tables of one encoder's cost, interpolated and differentiable.

An encoder is given some word-vectors of each input and retains fewer. Its cost for both numbers is counted in
operations or measured as time on this device, for a batch of inputs of equal length; so it knows what scoring
costs, and that short inputs do not use a processor well. N is the number of widths in a table, S that of
batches whose cost is averaged, L that of encoders.
"""

import copy
import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from powerbert.base.environment import describe_environment
from powerbert.base.files import content_hash, write_synced
from powerbert.data import TextDataModule
from powerbert.elimination import retained_by_share
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.latency import LatencySettings, measure_latencies
from powerbert.measure.timing import Schedule, time_in_turn
from powerbert.models import as_power_model, classify, embed, host_encoders, num_encoders
from powerbert.models.configuration import EXCLUSIVE
from powerbert.models.encoder import encode, encode_and_extract

PROTOCOLS = ("dynamic", "padded")
KINDS = ("operations", "time")

RUNS = 5
"""Timed runs of each entry; the quickest counts, since what disturbs a run makes it longer."""


class CostModel(nn.Module):
    """The cost of a model with a given retention, relative to the model that retains everything.

    Attributes:
        widths: word-vectors of an input that the tables know, increasing from 1, [N].
        eliminating: cost of an encoder that scores, [given, retained], [N, N].
        dense: cost of an encoder that retains all it is given, [N].
        alone: cost of an encoder that retains [CLS] alone, [N].
        rest: cost of embeddings and classifier, [N].
        given: word-vectors of an input of each batch, padding included, [S].
        longest: real words of the longest input of each batch, [S].
        weight: share of the inputs in batches of that kind, [S].
        line: slope and offset of measured against tabulated relative cost, [2].
    """

    widths: Tensor
    eliminating: Tensor
    dense: Tensor
    alone: Tensor
    rest: Tensor
    given: Tensor
    longest: Tensor
    weight: Tensor
    line: Tensor

    def __init__(self, tables: dict[str, Tensor], batches: dict[str, Tensor], encoders: int) -> None:
        """Take the tables, the batches, and the number of encoders of the model to compare with."""
        super().__init__()
        for name, value in {**tables, **batches}.items():
            self.register_buffer(name, value.float())
        self.register_buffer("line", torch.tensor([1.0, 0.0]))
        self.encoders = encoders

    def forward(
        self, retained: Callable[[Tensor], Tensor], *, cls_alone: bool = False, exact: bool = False
    ) -> Tensor:
        """Return the relative cost, a scalar, with the gradient of what is retained.

        Args:
            retained: given the real words of inputs, [S], returns how many of them each encoder retains,
                [L, S].
            cls_alone: whether the last encoder computes [CLS] alone.
            exact: whether an encoder that retains all it is given does not score. The step that this makes
                has no gradient, so a training leaves it out.
        """
        given, total = self.given, self._at(self.rest, self.given)
        numbers = retained(self.longest)
        for number, own in enumerate(numbers, start=1):
            if cls_alone and number == len(numbers):
                total = total + self._at(self.alone, given)
                break
            kept = torch.minimum(own.clamp_min(1.0), given)
            cost = self._between(given, kept)
            total = total + (torch.where(kept >= given, self._at(self.dense, given), cost) if exact else cost)
            given = kept
        whole = self._at(self.rest, self.given) + self.encoders * self._at(self.dense, self.given)
        slope, offset = self.line
        return slope * (self.weight * total).sum() / (self.weight * whole).sum() + offset

    def of_shares(self, shares: Sequence[float], *, cls_alone: bool = False) -> float:
        """Return the exact relative cost of a model with such retention shares."""
        return float(self(lambda words: retained_by_shares(shares, words), cls_alone=cls_alone, exact=True))

    def _place(self, width: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index of the interval of `widths` in which each width lies, and how far, from 0 to 1."""
        last = len(self.widths) - 2
        index = (torch.searchsorted(self.widths, width.detach().contiguous(), right=True) - 1).clamp(0, last)
        low, high = self.widths[index], self.widths[index + 1]
        return index, (width - low) / (high - low)

    def _at(self, table: Tensor, width: Tensor) -> Tensor:
        index, part = self._place(width)
        return torch.lerp(table[index], table[index + 1], part)

    def _between(self, given: Tensor, kept: Tensor) -> Tensor:
        row, down = self._place(given)
        column, right = self._place(kept)
        upper = torch.lerp(self.eliminating[row, column], self.eliminating[row, column + 1], right)
        lower = torch.lerp(self.eliminating[row + 1, column], self.eliminating[row + 1, column + 1], right)
        return torch.lerp(upper, lower, down)


def retained_by_shares(shares: Sequence[float], words: Tensor) -> Tensor:
    """Return what inputs of so many real words, [S], retain by each encoder's share, [L, S]."""
    return torch.stack([retained_by_share(share, words.long()).float() for share in shares])


def cost_model(
    model: Any,
    baseline: Any,
    data: TextDataModule,
    *,
    kind: str,
    protocol: str,
    settings: LatencySettings,
    folder: Path,
) -> CostModel:
    """Measure or count what retentions cost on the training inputs, relative to a baseline.

    An encoder measured by itself finds its weights in the caches, so times are fitted by a line to those of
    whole models: the cost of each input's work is the table's, what each batch costs besides is the offset.

    Args:
        model: a power model, whatever it retains; on the device to measure.
        kind: one of `KINDS`.
        protocol: one of `PROTOCOLS`.
        settings: sizes of the batches.
        folder: keeps times that nothing disturbed.
    """
    lengths = data.lengths("train").tolist()
    padded = protocol == "padded"
    batch_size = settings.padded_batch_size if padded else settings.dynamic_batch_size
    longest = data.max_length if padded else max(lengths)
    cost = CostModel(
        cost_tables(model, longest, kind, batch_size, folder),
        batches_of_protocol(lengths, protocol, data.max_length, batch_size),
        num_encoders(baseline.config),
    )
    if kind == "operations":
        return cost
    own, alone = num_encoders(model.config), model.config.cls_alone
    known = [_fingerprint(model, [longest], batch_size), protocol, own, alone, content_hash({"": lengths})]
    file = folder / f"{content_hash({'': known})}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        cost.line.copy_(torch.tensor(json.loads(file.read_text(encoding="utf-8"))["line"]))
        return cost
    profiles = [[part**number for number in range(1, own + 1)] for part in (1.0, 0.75, 0.5, 0.25)]
    none = dict.fromkeys(EXCLUSIVE)
    models = [as_power_model(model, **none | {"retention_shares": shares}) for shares in profiles]
    measured = measure_latencies(
        [each.to(model.device) for each in models],
        baseline.to(model.device),
        data.dataset["train"],
        max_length=data.max_length,
        collate=data.collate,
        settings=dataclasses.replace(settings, runs=RUNS, warmup=1),
        protocols=(protocol,),
    )
    tabulated = torch.tensor([[cost.of_shares(shares, cls_alone=alone), 1.0] for shares in profiles])
    ratios = torch.tensor([[1 / latency[protocol]["speedup"]] for latency in measured])
    cost.line.copy_(torch.linalg.lstsq(tabulated, ratios).solution.flatten())
    if not any(latency[protocol]["disturbed"] for latency in measured):
        write_synced(file, {"line": cost.line.tolist()})
    return cost


def cost_tables(
    model: Any, longest: int, kind: str, batch_size: int, folder: Path | None = None
) -> dict[str, Tensor]:
    """Count or measure the tables of `CostModel` with the encoders of a power model, which are alike.

    Args:
        longest: word-vectors of the longest input.
        kind: `operations`, or `time` on the model's device.
        batch_size: inputs in a batch.
        folder: keeps times that nothing disturbed; the next search on this machine uses them again.
    """
    widths = _widths(longest)
    file = None
    if kind == "time" and folder is not None:
        file = folder / f"{_fingerprint(model, widths, batch_size)}.json"
        with suppress(OSError, ValueError, TypeError):  # absent or damaged
            known = json.loads(file.read_text(encoding="utf-8"))
            return {name: torch.tensor(values) for name, values in known.items()}
    if kind == "operations":
        model = copy.deepcopy(model).to("meta")
    with evaluation_mode(model), torch.inference_mode():
        calls = _calls(model, widths, batch_size)
        if kind == "operations":
            costs, disturbed = {key: _operations(call) for key, call in calls.items()}, None
        else:
            schedule = Schedule(RUNS, warmup=1)
            times = time_in_turn([calls], model.device, schedule, "Timing an encoder at all widths")
            costs, disturbed = {key: min(runs) for key, runs in times.runs.items()}, times.disturbed
    tables = {name: torch.zeros(len(widths)) for name in ("dense", "alone", "rest")}
    tables["eliminating"] = torch.zeros(len(widths), len(widths))
    for (name, row, column), value in costs.items():
        if name == "eliminating":
            tables[name][row, column:] = value  # more than it is given cannot be retained
        else:
            tables[name][row] += value
    tables["widths"] = torch.tensor(widths, dtype=torch.float)
    if file is not None and not disturbed:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_synced(file, {name: values.tolist() for name, values in tables.items()})
    return tables


def _calls(
    model: Any, widths: Sequence[int], batch_size: int
) -> dict[tuple[str, int, int], Callable[[], object]]:
    """Return what to measure, by table, row and column; entries of `rest` are added."""
    device, score, encoders = model.device, model.base_model.score(), itertools.cycle(host_encoders(model))
    calls: dict[tuple[str, int, int], Callable[[], object]] = {}
    for row, given in enumerate(widths):
        encoder = next(encoders)
        words = torch.zeros(batch_size, given, dtype=torch.long, device=device)
        # Operations are counted without padding, as `count_flops` does.
        mask = None if device.type == "meta" else torch.ones_like(words, dtype=torch.bool)
        real, first = torch.ones_like(words, dtype=torch.bool), torch.zeros_like(words[:, :1])
        hidden = torch.randn(embed(model, input_ids=words).shape, device=device)
        calls["dense", row, 0] = partial(encode, encoder, hidden, mask)
        calls["alone", row, 0] = partial(encode, encoder, hidden, mask, first)
        calls["rest", row, 0] = partial(embed, model, input_ids=words)
        calls["rest", row, 1] = partial(classify, model, hidden, real)
        for column, kept in enumerate(widths[: row + 1]):
            own = torch.full((batch_size,), kept, device=device)
            calls["eliminating", row, column] = partial(
                encode_and_extract, encoder, hidden, mask, kept, score, own
            )
    return calls


def _fingerprint(model: Any, widths: Sequence[int], batch_size: int) -> str:
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
            "sizes": [*widths, batch_size],
        }
    )


def batches_of_protocol(
    lengths: Sequence[int], protocol: str, max_length: int, batch_size: int, most: int = 32
) -> dict[str, Tensor]:
    """Describe the batches of `CostModel` under a protocol of `measure_latencies`.

    Args:
        lengths: real words of each input.
        batch_size: inputs in a batch.
        most: number of batches, spread evenly over the lengths, that stand for all.
    """
    ordered = sorted(lengths)
    if protocol == "padded":
        rank = min(len(ordered) - 1, round(len(ordered) * (1 - 1 / batch_size)))
        longest = torch.tensor([ordered[rank]])
        return {"given": torch.full_like(longest, max_length), "longest": longest, "weight": torch.ones(1)}
    count = min(most, max(1, len(ordered) // batch_size))
    centers = ((number + 0.5) * len(ordered) / count for number in range(count))
    longest = torch.tensor([ordered[min(len(ordered), round(at + batch_size / 2)) - 1] for at in centers])
    return {"given": longest, "longest": longest, "weight": torch.full((count,), 1 / count)}


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
