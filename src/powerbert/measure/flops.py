"""Counts of work that do not depend on the machine: floating-point operations and word-vectors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from powerbert.measure.evaluation import evaluation_mode


def count_flops(model: nn.Module, length: int, batch_size: int = 1, num_choices: int = 1) -> float:
    """Count the floating-point operations of one forward pass on a batch.

    Only matrix products count, two operations per multiply-add; they make up all but a few per mille of a
    Transformer's work. The pass runs on the meta device, where tensors have shapes but no values: nothing is
    computed, and the model's weights are neither moved nor copied.

    Args:
        model: takes `input_ids` [batch_size, length], or [batch_size, num_choices, length].
        length: word pieces of every input, without padding.
    """
    shape = (batch_size, length) if num_choices == 1 else (batch_size, num_choices, length)
    input_ids = torch.zeros(shape, dtype=torch.long, device="meta")
    named = [*model.named_parameters(), *model.named_buffers()]
    tensors = {name: tensor.to("meta") for name, tensor in named}
    # On the meta device scaled_dot_product_attention decomposes into products that the counter knows; it
    # would count the fused CPU kernel as zero.
    counter = FlopCounterMode(display=False)
    with evaluation_mode(model), torch.inference_mode(), counter:
        functional_call(model, tensors, kwargs={"input_ids": input_ids})
    return float(counter.get_total_flops())


def flops_of_lengths(
    model: nn.Module, lengths: Sequence[int] | np.ndarray, num_choices: int = 1, most: int = 48
) -> float:
    """Count the operations of a mean input without padding, given the word pieces of each input.

    Of more than `most` different lengths, so many quantiles are counted and the others interpolated.
    """
    own, inputs = np.unique(np.asarray(lengths), return_counts=True)
    counted = own
    if len(own) > most:
        counted = np.unique(np.quantile(lengths, np.linspace(0, 1, most), method="nearest"))
    flops = [count_flops(model, int(length), num_choices=num_choices) for length in counted]
    return float(np.average(np.interp(own, counted, flops), weights=inputs))


def compare_flops(
    model: nn.Module,
    baseline: nn.Module,
    max_length: int,
    lengths: Sequence[int] | np.ndarray,
    num_choices: int = 1,
) -> dict[str, Any]:
    """Compare the operations of two models.

    Returns:
        `model`, `baseline` and their `ratio`, for an input of `max_length` word pieces; and the same as
        `dynamic` for a mean input of `lengths`, without padding.
    """

    def ratio(count: Callable[[nn.Module], float]) -> dict[str, Any]:
        own, other = count(model), count(baseline)
        return {"model": own, "baseline": other, "ratio": other / own}

    dynamic = ratio(lambda one: flops_of_lengths(one, lengths, num_choices))
    return {**ratio(lambda one: count_flops(one, max_length, num_choices=num_choices)), "dynamic": dynamic}


def word_vectors(
    retained: Sequence[int] | None,
    num_encoders: int,
    max_length: int,
    baseline_encoders: int | None = None,
) -> dict[str, int]:
    """Count the word-vectors that the encoders process for one input padded to `max_length`.

    Args:
        retained: (l_1, ..., l_L), the word-vectors that each encoder retains (section 3.2); None for a model
            that eliminates nothing.
        baseline_encoders: the baseline's number of encoders if it differs from `num_encoders`.

    Returns:
        `retained`, the sum of l_j over the encoders, and `baseline`, the same for the baseline, which retains
        all.
    """
    counts = [max_length] * num_encoders if retained is None else retained
    return {
        "retained": sum(min(count, max_length) for count in counts),
        "baseline": max_length * (num_encoders if baseline_encoders is None else baseline_encoders),
    }
