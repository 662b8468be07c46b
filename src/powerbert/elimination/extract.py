"""The extract layer: retain rows at given positions (section 2.1)."""

import torch
from torch import Tensor


def extract_rows(rows: Tensor, positions: Tensor) -> Tensor:
    """Retain the rows at ``positions``, in that order.

    Word-vectors have rows [B, N, D] and positions [B, K]; attention matrices, whose query rows are retained,
    [B, H, N, N] and [B, 1, K].

    Args:
        rows: One row for each word-vector, [..., N, width].
        positions: Indices into N, [..., K]; leading dimensions are those of ``rows`` or 1.

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
    """Return the mask, [B, N], at the retained positions, [B, K]."""
    return mask.gather(1, positions)
