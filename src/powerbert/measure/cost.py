"""What a retention costs before it exists: tables of one encoder's cost, interpolated and differentiable.

An encoder is given some word-vectors of each input and retains fewer. Its cost for both numbers is counted in
operations or measured as time on this device, for a batch of inputs of equal length; so it knows what scoring
costs, and that short inputs do not use a processor well. N is the number of widths in a table, S that of
batches whose cost is averaged, L that of encoders.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from powerbert.base.files import content_hash, write_synced
from powerbert.data import TextDataModule
from powerbert.elimination import retained_by_share
from powerbert.measure.cost_tables import KINDS, cost_tables, fingerprint
from powerbert.measure.latency import LatencySettings, measure_latencies
from powerbert.models import as_power_model, num_encoders
from powerbert.models.configuration import EXCLUSIVE

__all__ = [
    "KINDS",
    "PROTOCOLS",
    "CostModel",
    "batches_of_protocol",
    "cost_model",
    "fit_overhead",
    "retained_by_shares",
]

PROTOCOLS = ("dynamic", "padded")


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
        overhead: what an encoder of a whole model costs besides, as a part of a dense one's cost, [].
    """

    widths: Tensor
    eliminating: Tensor
    dense: Tensor
    alone: Tensor
    rest: Tensor
    given: Tensor
    longest: Tensor
    weight: Tensor
    overhead: Tensor

    def __init__(self, tables: dict[str, Tensor], batches: dict[str, Tensor], encoders: int) -> None:
        """Take the tables, the batches, and the number of encoders of the model to compare with."""
        super().__init__()
        for name, value in {**tables, **batches}.items():
            self.register_buffer(name, value.float())
        self.register_buffer("overhead", torch.zeros(()))
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
        tabulated = (self.weight * total).sum() / (self.weight * whole).sum()
        return (tabulated + self.overhead * len(numbers) / self.encoders) / (1 + self.overhead)

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
    """Measure or count what retentions cost on the inputs of dev, relative to a baseline.

    Training inputs may have other lengths than those to come: SST-2 trains on phrases and is asked sentences.


    An encoder measured by itself finds its weights in the caches. What an encoder of a whole model costs
    besides is fitted to the times of whole models.

    Args:
        model: a power model, whatever it retains; on the device to measure.
        kind: one of `KINDS`.
        protocol: one of `PROTOCOLS`.
        settings: sizes of the batches.
        folder: keeps times that nothing disturbed.
    """
    lengths = data.lengths("dev").tolist()
    padded = protocol == "padded"
    batch_size = settings.padded_batch_size if padded else settings.dynamic_batch_size
    longest = data.max_length if padded else max(lengths)
    own, alone = num_encoders(model.config), model.config.cls_alone
    whole = num_encoders(baseline.config)
    batches = batches_of_protocol(lengths, protocol, data.max_length, batch_size)
    known = [
        fingerprint(model, longest, batch_size),
        protocol,
        own,
        alone,
        lengths,
        num_encoders(baseline.config),
    ]
    file = folder / f"{content_hash({'': known})}.json"
    if kind == "time":
        with suppress(OSError, ValueError, TypeError, KeyError):  # absent or damaged
            kept = json.loads(file.read_text(encoding="utf-8"))
            tables = {name: torch.tensor(values) for name, values in kept["tables"].items()}
            cost = CostModel(tables, batches, whole)
            cost.overhead.fill_(kept["overhead"])
            return cost
    tables, disturbed = cost_tables(model, longest, kind, batch_size)
    cost = CostModel(tables, batches, whole)
    if kind == "operations":
        return cost
    profiles = [[part**number for number in range(1, own + 1)] for part in (1.0, 0.75, 0.5, 0.25)]
    none = dict.fromkeys(EXCLUSIVE)
    models = [as_power_model(model, **none | {"retention_shares": shares}) for shares in profiles]
    measured = measure_latencies(
        [each.to(model.device) for each in models],
        baseline.to(model.device),
        data.dataset["dev"],
        max_length=data.max_length,
        collate=data.collate,
        settings=dataclasses.replace(settings, runs=3, warmup=1),
        protocols=(protocol,),
    )
    tabulated = torch.tensor([cost.of_shares(shares, cls_alone=alone) for shares in profiles])
    ratios = torch.tensor([1 / latency[protocol]["speedup"] for latency in measured])
    cost.overhead.copy_(fit_overhead(tabulated, ratios, own / whole))
    if not disturbed and not any(latency[protocol]["disturbed"] for latency in measured):
        file.parent.mkdir(parents=True, exist_ok=True)
        values = {name: table.tolist() for name, table in tables.items()}
        write_synced(file, {"tables": values, "overhead": float(cost.overhead)})
    return cost


def fit_overhead(tabulated: Tensor, measured: Tensor, depth: float) -> Tensor:
    """Fit the overhead b in ``measured = (tabulated + b depth) / (1 + b)`` by least squares, [].

    It is negative where full batches of the baseline use the caches less well than those of the tables.

    Args:
        tabulated: relative costs of models by the tables, [M].
        measured: relative times of the same models, [M].
        depth: number of their encoders relative to the baseline's.
    """
    slopes = depth - measured
    return ((measured - tabulated) * slopes).sum().div(slopes.square().sum()).clamp_min(-0.5)


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
