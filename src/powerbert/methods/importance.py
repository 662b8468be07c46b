"""Importance of attention heads (Michel et al. 2019), and which of them to remove."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from powerbert.models import unique_encoders

Batch = Mapping[str, Tensor]


def head_importance(model: PreTrainedModel, batches: Iterable[Batch]) -> Tensor:
    """``I_h = E_x | Att_h(x)^T dL/dAtt_h(x) |``, l2-normalised within each encoder.

    Att_h(x) is the output of head h before the output projection, over all words of the input x. Encoders
    that share their weights share their heads: their products are added before the absolute value.

    Args:
        model: of a task; called with a batch that holds `labels`, it returns the batch's mean loss. It is
            neither trained nor changed.
        batches: at least one, on the model's device; B inputs each.

    Returns:
        Importance, [encoders with weights of their own, heads of the encoder with the most]; NaN where an
        encoder has fewer heads.

    Raises:
        ValueError: if there are no batches.
    """
    encoders = unique_encoders(model)
    place = {id(encoder.output_projection): index for index, encoder in enumerate(encoders)}
    outputs: list[tuple[int, Tensor]] = []

    def keep(projection: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        outputs.append((place[id(projection)], inputs[0]))

    hooks = [encoder.output_projection.register_forward_pre_hook(keep) for encoder in encoders]
    sums = [torch.zeros(encoder.heads, dtype=torch.float64) for encoder in encoders]
    inputs = 0
    training = model.training
    model.eval()
    try:
        for batch in batches:
            outputs.clear()
            count = len(batch["labels"])
            with torch.enable_grad():
                # The mean over the batch, times its size: the gradient of each input's own loss.
                loss = model(**batch).loss * count
                gradients = torch.autograd.grad(loss, [output for _, output in outputs])
            products = [torch.zeros(count, encoder.heads, dtype=torch.float64) for encoder in encoders]
            for (index, output), gradient in zip(outputs, gradients, strict=True):
                by_head = (output * gradient).unflatten(-1, (encoders[index].heads, -1)).double()
                # Words, and for multiple choice the choices of an input, add up.
                products[index] += by_head.sum((1, -1)).unflatten(0, (count, -1)).sum(1).cpu()
            for total, product in zip(sums, products, strict=True):
                total += product.abs().sum(0)
            inputs += count
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    if inputs == 0:
        raise ValueError("there are no batches to measure the heads' importance on")
    normalised = [nn.functional.normalize(total / inputs, dim=0) for total in sums]
    return nn.utils.rnn.pad_sequence(normalised, batch_first=True, padding_value=float("nan"))


def choose_heads(importance: Tensor, share: float) -> list[list[int]]:
    """The heads that stay when the least important ones of all encoders are removed.

    Args:
        importance: [encoders, heads], as `head_importance` gives it; NaN for a head that is not there.
        share: of all heads that are removed, 0 to 1; rounded to the nearest number of heads. Every encoder
            keeps its most important head, so fewer may go.

    Returns:
        The heads of each encoder that stay, increasing.
    """
    there = ~importance.isnan()
    stays = there.clone()
    order = importance.nan_to_num(float("inf")).flatten().argsort(stable=True).tolist()
    remaining = round(share * int(there.sum()))
    for flat in order[: int(there.sum())]:
        encoder, head = divmod(flat, importance.shape[1])
        if remaining and int(stays[encoder].sum()) > 1:
            stays[encoder, head] = False
            remaining -= 1
    return [heads.nonzero().flatten().tolist() for heads in stays]
