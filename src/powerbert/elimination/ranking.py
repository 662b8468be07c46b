"""From significance to ordered positions, and to the positions that are retained (sections 2.1 and 2.2).

Everything here has shapes known from its arguments' shapes and waits for no value on the device. An input's
ranking depends on its real words only, not on how much padding stands beside them nor on which side.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cls_position(mask: Tensor) -> Tensor:
    """Position of [CLS], the first real word of each input, whichever side the padding is on.

    Args:
        mask: True where a word is real, [B, N].

    Returns:
        Index into N, [B, 1]; 0 for an input without a real word.
    """
    return mask.int().argmax(dim=1, keepdim=True)


def order_by_significance(scores: Tensor, mask: Tensor | None = None, *, protect_cls: bool = True) -> Tensor:
    """Sort word-vectors by decreasing significance; padding comes last and ties keep their original order.

    Args:
        scores: Significance, [B, N].
        mask: True where a word is real, [B, N]; None if every word is real.
        protect_cls: Whether [CLS] comes first whatever its significance.

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
    """Sigidx: the ordered position of each word-vector, from 0 (the paper counts from 1).

    Args:
        scores: Significance, [B, N].
        mask: True where a word is real, [B, N]; None if every word is real.
        protect_cls: Whether [CLS] takes ordered position 0 whatever its significance.

    Returns:
        ``ranks[b, i]`` is the ordered position of the word-vector at original position i, [B, N].
    """
    order = order_by_significance(scores, mask, protect_cls=protect_cls)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def retained_positions(scores: Tensor, mask: Tensor | None, k: int) -> Tensor:
    """Original positions of the k most significant word-vectors, [CLS] among them, in their original order.

    Args:
        scores: Significance, [B, N].
        mask: True where a word is real, [B, N]; None if every word is real.
        k: How many to retain, at least 1; all of them where it is N or more.

    Returns:
        Increasing positions, [B, min(k, N)]. An input of fewer real words than k keeps padding beside them.
    """
    return order_by_significance(scores, mask)[:, :k].sort(dim=1).values
