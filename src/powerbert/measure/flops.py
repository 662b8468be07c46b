"""Counts of work that do not depend on the machine: floating-point operations and word-vectors."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from powerbert.measure.evaluation import evaluation_mode


def count_flops(model: nn.Module, length: int, batch_size: int = 1, num_choices: int = 1) -> float:
    """Counts the floating-point operations of one forward pass.

    Only matrix products count, two operations for each multiply-add; they are all but a few per mille of the
    work of a Transformer. The pass runs on the meta device, where tensors have shapes but no
    content: nothing is computed, and the model's own weights are neither moved nor copied.

    Args:
        model: takes `input_ids` of shape [batch_size, length], or of shape [batch_size, num_choices, length]
            where there are several choices.
        length: word pieces of every input, none of them PAD.
        batch_size: number of inputs.
        num_choices: sequences that make one input: 1 unless the model is for multiple choice.

    Returns:
        The operations for the whole batch. Eliminated word-vectors cost nothing from the point on
        where the model drops them.
    """
    shape = (batch_size, length) if num_choices == 1 else (batch_size, num_choices, length)
    input_ids = torch.zeros(shape, dtype=torch.long, device="meta")
    tensors = {
        name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    # On the meta device scaled_dot_product_attention decomposes into products that the counter knows;
    # the fused CPU kernel it does not know, and would count as nothing.
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
    """Counts the word-vectors that the encoders process, of one input padded to `max_length`.

    Args:
        retention_configuration: (l_1, ..., l_L), the word-vectors that each encoder retains (section
            3.2); `None` for a model that eliminates nothing.
        num_encoders: L, the number of encoders of the model.
        max_length: word pieces of the padded input.
        baseline_encoders: number of encoders of the model compared with, where it has another number.

    Returns:
        `retained`, the sum over the encoders of l_j (of `max_length` without elimination), and
        `baseline`, the same for the model compared with, which retains all.
    """
    retained = [max_length] * num_encoders if retention_configuration is None else retention_configuration
    return {
        "retained": sum(min(length, max_length) for length in retained),
        "baseline": max_length * (num_encoders if baseline_encoders is None else baseline_encoders),
    }
