"""The extract layer: retain rows at given positions (section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def extract_rows(rows: Tensor, positions: Tensor) -> Tensor:
    """Retain the rows at ``positions``, in that order.

    Serves word-vectors, [B, N, D] with positions [B, K], and the query rows of attention matrices,
    [B, H, N, N] with positions [B, 1, K].

    Args:
        rows: One row for each word-vector, [..., N, width].
        positions: Indices into N; its leading dimensions are those of ``rows`` or 1, [..., K].

    Returns:
        The retained rows, [..., K, width].
    """
    *groups, length, width = rows.shape
    flat_rows = rows.reshape(-1, width)
    starts = torch.arange(0, flat_rows.shape[0], length, device=rows.device).view(*groups, 1)
    # index_select copies whole rows, several times faster on a CPU than gathering element by element.
    retained = flat_rows.index_select(0, (starts + positions).flatten())
    return retained.view(*groups, positions.shape[-1], width)


def extract_mask(mask: Tensor, positions: Tensor) -> Tensor:
    """The attention mask of the retained word-vectors.

    Args:
        mask: True where a word is real, [B, N].
        positions: Indices into N, [B, K].

    Returns:
        The mask at those positions, [B, K].
    """
    return mask.gather(1, positions)
