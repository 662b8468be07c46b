"""What a retention costs before it exists: a formula in the word-vectors, fitted to models on this device.

The operations of an encoder that is given n word-vectors of an input and retains k are a polynomial of n and
k, and its time on a device nearly is one. Its coefficients are fitted to the operations or times of some
whole models, so the cost knows what scoring costs, and that short inputs do not use a processor well. S is
the number of batches whose cost is averaged, L that of encoders.
"""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from powerbert.base.environment import describe_environment
from powerbert.base.files import content_hash, write_synced
from powerbert.data import TextDataModule
from powerbert.elimination import retained_by_share
from powerbert.measure.evaluation import evaluation_mode
from powerbert.measure.flops import count_flops
from powerbert.measure.settings import LatencySettings
from powerbert.measure.timing import Schedule, time_in_turn
from powerbert.models import able_encoders, as_power_model, host_encoders, num_encoders
from powerbert.models.configuration import EXCLUSIVE

RUNS = 5
"""Timed runs of each model; the quickest counts, since what disturbs a run makes it longer."""
WORDS = 4096
"""Words of a timed batch on a CPU, which more of them do not use any better; the batch's time is scaled."""
RETAINED = (1.0, 0.8, 0.6, 0.4, 0.1)
"""Parts of its input that each encoder of a timed model retains."""
WIDTHS = 4
"""Lengths of the batches on which models are timed, from the shortest to the longest."""


class CostModel(nn.Module):
    """The cost of a model with a given retention, relative to the model that retains everything.

    Attributes:
        coefficients: of the terms that `cost_terms` lists, in operations or milliseconds, [T].
        given: word-vectors of an input of each batch, padding included, [S].
        longest: real words of the longest input of each batch, [S].
        weight: share of the inputs in batches of that kind, [S].
    """

    coefficients: Tensor
    given: Tensor
    longest: Tensor
    weight: Tensor

    def __init__(self, coefficients: Tensor, batches: Mapping[str, Tensor], encoders: int) -> None:
        """Take the coefficients, the batches, and the number of encoders of the model to compare with."""
        super().__init__()
        for name, value in {"coefficients": coefficients, **batches}.items():
            self.register_buffer(name, value.float())
        self.encoders = encoders

    def forward(
        self, retained: Callable[[Tensor], Tensor], *, cls_alone: bool = False, exact: bool = False
    ) -> Tensor:
        """Return the relative cost, a scalar, with the gradient of what is retained.

        Args:
            retained: given the real words of inputs, [S], returns how many of them each encoder retains,
                [L, S].
            cls_alone: whether the last encoder computes [CLS] alone.
            exact: whether an encoder that retains all it is given, or [CLS] alone, does not score. The steps
                that this makes have no gradient, so a training leaves them out.
        """
        own = cost_terms(self.given, retained(self.longest), cls_alone=cls_alone, exact=exact)
        whole = cost_terms(self.given, self.given.expand(self.encoders, -1), exact=True)
        return (self.weight @ own @ self.coefficients) / (self.weight @ whole @ self.coefficients)

    def of_shares(self, shares: Sequence[float], *, cls_alone: bool = False) -> float:
        """Return the exact relative cost of a model with such retention shares."""
        return float(self(lambda words: retained_by_shares(shares, words), cls_alone=cls_alone, exact=True))


def cost_terms(given: Tensor, retained: Tensor, *, cls_alone: bool = False, exact: bool = False) -> Tensor:
    """List the terms of a model's cost, summed over its encoders, [S, T].

    They are 1 and n of the embeddings, with the n that the model is given; 1, n and n^2 of the encoders that
    retain all they are given; 1, n, n^2, k and n k of those that score; 1 and n of those that retain [CLS]
    alone.

    Args:
        given: word-vectors of an input, [S].
        retained: word-vectors that each encoder retains, [L, S].
    """
    one, number = torch.ones_like(given), len(retained)
    total = torch.stack([one, given], -1)
    dense, scoring, alone = (given.new_zeros(len(given), size) for size in (3, 5, 2))
    for encoder, own in enumerate(retained, start=1):
        kept = torch.minimum(own.clamp_min(1.0), given)
        only_cls = (kept == 1) & (given > 1) & exact | (cls_alone and encoder == number)
        scores = ~only_cls & ((kept < given) | (not exact))
        powers = [one, given, given.square()]
        dense = dense + torch.stack(powers, -1) * (~only_cls & ~scores).unsqueeze(-1)
        scoring = scoring + torch.stack([*powers, kept, given * kept], -1) * scores.unsqueeze(-1)
        alone = alone + torch.stack([one, given], -1) * only_cls.unsqueeze(-1)
        given = kept
    return torch.cat([total, dense, scoring, alone], -1)


def retained_by_shares(shares: Sequence[float], words: Tensor) -> Tensor:
    """Return what inputs of so many real words, [S], retain by each encoder's share, [L, S]."""
    return torch.stack([retained_by_share(share, words.long()).to(words) for share in shares])


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

    Args:
        model: a power model, whatever it retains; on the device to measure.
        kind: one of `KINDS`.
        protocol: one of `PROTOCOLS`.
        settings: sizes of the batches.
        folder: keeps coefficients that nothing disturbed.
    """
    padded = protocol == "padded"
    batch_size = settings.padded_batch_size if padded else settings.dynamic_batch_size
    batches = batches_of_protocol(data.lengths("dev").tolist(), protocol, data.max_length, batch_size)
    none = dict.fromkeys(EXCLUSIVE)
    shares = [1.0] * num_encoders(model.config)
    model = as_power_model(model, **none | {"retention_shares": shares}).to(model.device)
    baseline = baseline.to(model.device)
    sampled = batches["given"].float().quantile(torch.linspace(0, 1, WIDTHS), interpolation="nearest")
    widths = [int(width) for width in sampled.unique()]

    def fitted(coefficients: Tensor) -> CostModel:
        return CostModel(coefficients, batches, num_encoders(baseline.config))

    if kind == "operations":
        return fitted(fit(model, baseline, widths, data.num_choices)[0])
    known = [_fingerprint(model), widths, batch_size, num_encoders(baseline.config), data.num_choices]
    file = folder / f"{content_hash({'': known})}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):  # absent or damaged
        return fitted(torch.tensor(json.loads(file.read_text(encoding="utf-8"))["coefficients"]))
    coefficients, disturbed = fit(model, baseline, widths, data.num_choices, batch_size)
    if not disturbed:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_synced(file, {"coefficients": coefficients.tolist()})
    return fitted(coefficients)


def fit(
    model: Any, baseline: Any, widths: Sequence[int], num_choices: int = 1, batch_size: int | None = None
) -> tuple[Tensor, bool | None]:
    """Fit the coefficients of `CostModel`, [T], to some retentions of a model and to its baseline.

    The sum of squared relative differences is least.

    Args:
        model: a power model with shares, which are changed.
        widths: word-vectors of an input.
        batch_size: inputs of a timed batch; None to count operations.

    Returns:
        The coefficients, and whether other processes disturbed the measurement; None if unknown.
    """
    own, alone, able = num_encoders(model.config), model.config.cls_alone, able_encoders(model.config)
    retentions: list[tuple[list[float], tuple[int, ...]] | None] = [None]  # the baseline
    for depth in sorted({own, -(-2 * own // 3), -(-own // 2)}):
        for part in RETAINED:
            kept = [part if able is None or encoder in able else 1.0 for encoder in range(depth)]
            shares = list(accumulate(kept, operator.mul))
            retentions.append(([*shares[:-1], 0.0] if alone else shares, tuple(range(depth))))

    def chosen(index: int) -> Any:
        retention = retentions[index]
        if retention is None:
            return baseline
        model.base_model.set_retention(*retention)
        return model

    keys = [(index, width) for width in widths for index in range(len(retentions))]
    disturbed = None
    if batch_size is None:
        costs = {(i, width): count_flops(chosen(i), width, num_choices=num_choices) for i, width in keys}
    else:
        inputs = {width: _inputs(width * num_choices, batch_size, model.device) for width in widths}

        def call(index: int, ids: Tensor) -> None:
            chosen(index)(input_ids=ids, attention_mask=torch.ones_like(ids))

        def batch(width: int) -> Tensor:
            shape = (inputs[width], width) if num_choices == 1 else (inputs[width], num_choices, width)
            return torch.zeros(shape, dtype=torch.long, device=model.device)

        ids = {width: batch(width) for width in widths}
        calls = {(index, width): partial(call, index, ids[width]) for index, width in keys}
        with evaluation_mode(model, baseline), torch.inference_mode():
            times = time_in_turn(
                [calls], model.device, Schedule(RUNS, warmup=1), "Timing models of all lengths"
            )
        costs = {key: min(runs) * batch_size / inputs[key[1]] for key, runs in times.runs.items()}
        disturbed = times.disturbed

    def terms(index: int, width: int) -> Tensor:
        words, retention = torch.tensor([width], dtype=torch.double), retentions[index]
        if retention is None:
            return cost_terms(words, words.expand(num_encoders(baseline.config), -1), exact=True)[0]
        retained = retained_by_shares(retention[0], words)
        return cost_terms(words, retained, cls_alone=alone, exact=True)[0]

    rows = torch.stack([terms(*key) / costs[key] for key in keys])
    size = rows.norm(dim=0).clamp_min(1e-300)  # columns of like size, for the solver's sake
    ones = torch.ones(len(rows), 1, dtype=torch.double)
    return torch.linalg.lstsq(rows / size, ones, driver="gelsd").solution[:, 0] / size, disturbed


def reach(
    cost: Callable[[list[float]], float], values: list[float], target: float, whole: float
) -> list[float]:
    """Move shares or masses, [L], all together until their cost is at most the target, or hardly more.

    The parts of the whole are raised to a common power, so what is retained whole stays whole.
    """

    def moved(power: float) -> list[float]:
        return [whole * (value / whole) ** power for value in values]

    low, high = 1 / 16, 16.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if cost(moved(middle)) > target else (low, middle)
    return moved(high)


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


def _inputs(words: int, batch_size: int, device: torch.device) -> int:
    """Return how many inputs of so many words to run at once to learn the cost of a batch."""
    return max(1, min(batch_size, WORDS // words)) if device.type == "cpu" else batch_size


def _fingerprint(model: Any) -> str:
    """Return a name for what determines the times of a model: device, software, sizes."""
    here = describe_environment(model.device)
    encoder = host_encoders(model)[0]
    config = model.config
    return content_hash(
        {
            **{key: here[key] for key in ("torch", "powerbert", "cpu", "threads", "device")},
            "model": [config.model_type, model.num_parameters(), str(model.dtype), config.cls_alone],
            "heads": [encoder.query.out_features, encoder.head_size],
            "score": [config.significance, config.significance_diagonal, config.significance_pad_queries],
        }
    )
