"""The extract layer: rank word-vectors by significance, retain some of them (sections 2.1 and 2.2).

All output shapes follow from input shapes, so nothing waits for a value on the device. The ranking of an
input depends on its real words only, not on how far or on which side it is padded.
"""

import math

import torch
from torch import Tensor


def cls_position(mask: Tensor) -> Tensor:
    """Return the position of [CLS], the first real word of each input, [B, 1]; 0 without a real word."""
    return mask.int().argmax(dim=1, keepdim=True)


def order_by_significance(
    scores: Tensor,
    mask: Tensor | None = None,
    *,
    protect_cls: bool = True,
    protected: Tensor | None = None,
) -> Tensor:
    """Return the original position at each ordered position, from 0, [B, N], given the significance, [B, N].

    Significance decreases, padding comes last, and ties keep their order. With ``protect_cls``, [CLS] comes
    first whatever its significance; then those of the words that are ``protected``, [B, N], [CLS] among them.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    if protect_cls:
        first = cls_position(torch.ones_like(scores, dtype=torch.bool) if mask is None else mask)
        scores = scores.scatter(1, first, torch.inf)
    order = scores.argsort(dim=1, descending=True, stable=True)
    if protected is None:
        return order
    protected = protected if mask is None else protected & mask
    groups = protected.gather(1, order).long().argsort(dim=1, descending=True, stable=True)
    return order.gather(1, groups)


def ordered_positions(
    scores: Tensor,
    mask: Tensor | None = None,
    *,
    protect_cls: bool = True,
    protected: Tensor | None = None,
) -> Tensor:
    """Return Sigidx, the ordered position of each word-vector, [B, N]; it counts from 0, the paper from 1."""
    order = order_by_significance(scores, mask, protect_cls=protect_cls, protected=protected)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def retained_positions(
    scores: Tensor,
    mask: Tensor | None,
    k: int,
    own: Tensor | None = None,
    protected: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Choose the k most significant word-vectors of each input, [CLS] among them.

    An input of fewer real words than k retains padding too.

    Args:
        own: Number of word-vectors that each input retains, at most k, [B]; None for k.
        protected: As of ``order_by_significance``.

    Returns:
        Their positions, increasing, [B, min(k, N)]; and their mask, in which what an input retains beyond
        its own number is padding: None if ``mask`` is.
    """
    positions, places = order_by_significance(scores, mask, protected=protected)[:, :k].sort(dim=1)
    if mask is None:
        return positions, None
    retained = extract_mask(mask, positions)
    return positions, retained if own is None else retained & (places < own.unsqueeze(1))


def extract_rows(rows: Tensor, positions: Tensor) -> Tensor:
    """Retain the rows at ``positions``, in that order: [..., N, width] and [..., K] to [..., K, width].

    Word-vectors have rows [B, N, D] and positions [B, K]; attention matrices, whose query rows are retained,
    [B, H, N, N] and [B, 1, K].
    """
    *groups, length, width = rows.shape
    flat_rows = rows.reshape(-1, width)
    starts = torch.arange(math.prod(groups), device=rows.device).view(*groups, 1) * length
    # index_select copies whole rows, several times faster on a CPU than gathering element by element.
    retained = flat_rows.index_select(0, (starts + positions).flatten())
    return retained.view(*groups, positions.shape[-1], width)


def extract_mask(mask: Tensor, positions: Tensor) -> Tensor:
    """Return the mask, [B, N], at the retained positions, [B, K]."""
    return mask.gather(1, positions)
