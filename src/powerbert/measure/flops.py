"""Counts of work that do not depend on the machine: floating-point operations and word-vectors."""

from collections.abc import Sequence

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


def word_vectors(
    retention_configuration: Sequence[int] | None,
    num_encoders: int,
    max_length: int,
    baseline_encoders: int | None = None,
) -> dict[str, int]:
    """Count the word-vectors that the encoders process for one input padded to `max_length`.

    Args:
        retention_configuration: (l_1, ..., l_L), the word-vectors that each encoder retains (section 3.2);
            None for a model that eliminates nothing.
        baseline_encoders: the baseline's number of encoders if it differs from `num_encoders`.

    Returns:
        `retained`, the sum of l_j over the encoders, and `baseline`, the same for the baseline, which retains
        all.
    """
    retained = [max_length] * num_encoders if retention_configuration is None else retention_configuration
    return {
        "retained": sum(min(length, max_length) for length in retained),
        "baseline": max_length * (num_encoders if baseline_encoders is None else baseline_encoders),
    }
