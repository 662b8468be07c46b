"""Counts of work that do not depend on the machine: floating-point operations and word-vectors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from powerbert.measure.evaluation import evaluation_mode

COMPUTED = 1e9
"""Operations, about, of the largest pass that is computed to be counted."""


def count_flops(model: Any, length: int, batch_size: int = 1, num_choices: int = 1) -> float:
    """Count the floating-point operations of one forward pass on a batch.

    Only matrix products count, two operations per multiply-add; they make up all but a few per mille of a
    Transformer's work. A pass of less than `COMPUTED` is computed where the weights are, as is quicker;
    any other runs on the meta device, where tensors have shapes but no values.

    Args:
        model: takes `inputs_embeds`, [batch_size, length, ...], or [batch_size, num_choices, length, ...].
        length: word pieces of every input, without padding.
    """
    shape = (batch_size, length) if num_choices == 1 else (batch_size, num_choices, length)
    # Not word pieces: DeBERTa looks for padding among them, and here they have no values.
    table = model.get_input_embeddings().weight
    weights = sum(parameter.numel() for parameter in model.parameters()) - table.numel()
    small = 2 * weights * batch_size * num_choices * length < COMPUTED
    needs_ids = getattr(model.config, "protected_until", None) is not None  # unless on the meta device
    device = table.device if small and not needs_ids else "meta"
    words = torch.zeros((*shape, table.shape[1]), dtype=table.dtype, device=device)
    return _operations(model, device, {"inputs_embeds": words})


def _operations(model: nn.Module, device: torch.device | str, inputs: Mapping[str, Tensor]) -> float:
    """Count the operations of a model on a device with the model's weights there."""
    named = [*model.named_parameters(), *model.named_buffers()]
    # The counter follows gradients, but not to a parameter that is a module's input, as in DeBERTa.
    tensors = {name: tensor.detach().to(device) for name, tensor in named}
    counter = FlopCounterMode(display=False)
    attention = sdpa_kernel(SDPBackend.MATH)  # a fused one would count as zero
    with evaluation_mode(model), torch.inference_mode(), attention, counter:
        functional_call(model, tensors, kwargs=dict(inputs))
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


def flops_of_inputs(model: Any, inputs: Iterable[Mapping[str, Tensor]]) -> float:
    """Count the operations of a mean input on the model's device, for a retention that depends on values.

    Args:
        inputs: at least one batch, each of one input; padding counts as far as the model computes it.
    """
    flops = []
    for batch in inputs:
        tensors = {name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"}
        flops.append(_operations(model, model.device, tensors))
    return float(np.mean(flops))


def compare_flops(
    model: Any,
    baseline: Any,
    max_length: int,
    lengths: Sequence[int] | np.ndarray,
    num_choices: int = 1,
    sample: Callable[[int | None], Iterable[Mapping[str, Tensor]]] | None = None,
) -> dict[str, Any]:
    """Compare the operations of two models.

    Args:
        sample: makes batches of one real input each, padded to a number of word pieces or not at all; a model
            with thresholds is counted on these.

    Returns:
        `model`, `baseline` and their `ratio`, for an input of `max_length` word pieces; and the same as
        `dynamic` for a mean input of `lengths`, without padding.

    Raises:
        ValueError: if a model has thresholds, and there is no sample.
    """

    def count(one: Any, pad_to: int | None) -> float:
        if getattr(one.config, "retention_thresholds", None) is not None:
            if sample is None:
                raise ValueError("the operations of a model with thresholds need a sample of real inputs")
            return flops_of_inputs(one, sample(pad_to))
        if pad_to is None:
            return flops_of_lengths(one, lengths, num_choices)
        return count_flops(one, pad_to, num_choices=num_choices)

    def ratio(pad_to: int | None) -> dict[str, Any]:
        own, other = count(model, pad_to), count(baseline, pad_to)
        return {"model": own, "baseline": other, "ratio": other / own}

    return {**ratio(max_length), "dynamic": ratio(None)}


def word_vectors(
    retained: Sequence[float] | None,
    num_encoders: int,
    max_length: int,
    baseline_encoders: int | None = None,
) -> dict[str, int]:
    """Count the word-vectors that the encoders process for one input padded to `max_length`.

    Args:
        retained: (l_1, ..., l_L), the word-vectors that each encoder retains (section 3.2), or retains on
            average; None for a model that eliminates nothing.
        baseline_encoders: the baseline's number of encoders if it differs from `num_encoders`.

    Returns:
        `retained`, the sum of l_j over the encoders, and `baseline`, the same for the baseline, which retains
        all.
    """
    counts = [max_length] * num_encoders if retained is None else retained
    return {
        "retained": round(sum(min(count, max_length) for count in counts)),
        "baseline": max_length * (num_encoders if baseline_encoders is None else baseline_encoders),
    }
