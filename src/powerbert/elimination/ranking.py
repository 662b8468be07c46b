"""From significance to ordered positions, and to the positions that are retained (sections 2.1 and 2.2).

All output shapes follow from input shapes, so nothing waits for a value on the device. The ranking of an
input depends on its real words only, not on how far or on which side it is padded.
"""

import torch
from torch import Tensor


def cls_position(mask: Tensor) -> Tensor:
    """Return the position of [CLS], the first real word of each input, [B, 1]; 0 without a real word."""
    return mask.int().argmax(dim=1, keepdim=True)


def order_by_significance(scores: Tensor, mask: Tensor | None = None, *, protect_cls: bool = True) -> Tensor:
    """Sort word-vectors by decreasing significance, [B, N]; padding comes last, ties keep their order.

    With ``protect_cls``, [CLS] comes first whatever its significance.

    Returns:
        ``order[b, k]`` is the original position of the word-vector at ordered position k (from 0), [B, N].
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    if protect_cls:
        first = cls_position(torch.ones_like(scores, dtype=torch.bool) if mask is None else mask)
        scores = scores.scatter(1, first, torch.inf)
    return scores.argsort(dim=1, descending=True, stable=True)


def ordered_positions(scores: Tensor, mask: Tensor | None = None, *, protect_cls: bool = True) -> Tensor:
    """Compute Sigidx, the inverse of ``order_by_significance``; counts from 0, the paper from 1.

    Returns:
        ``ranks[b, i]`` is the ordered position of the word-vector at original position i, [B, N].
    """
    order = order_by_significance(scores, mask, protect_cls=protect_cls)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def retained_positions(scores: Tensor, mask: Tensor | None, k: int) -> Tensor:
    """Return the original positions of the k most significant word-vectors, [CLS] among them.

    Returns:
        Increasing positions, [B, min(k, N)]. An input of fewer real words than k retains padding too.
    """
    return order_by_significance(scores, mask)[:, :k].sort(dim=1).values
