"""Attention heads taken out of encoders for real: the projections shrink."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from powerbert.models.encoder import HostEncoder


def leave_heads(encoders: Iterable[HostEncoder], heads: Iterable[Sequence[int]]) -> None:
    """Shrink the projections of encoders to some of their heads, in place.

    The model then computes what it would have with the output of the other heads set to zero.

    Args:
        encoders: In the order in which they run; one that comes several times is shrunk once.
        heads: For each the heads that stay, increasing, from 0.
    """
    shrunk = set()
    for encoder, staying in zip(encoders, heads, strict=True):
        if id(encoder.query) in shrunk:
            continue
        shrunk.add(id(encoder.query))
        rows = torch.as_tensor(staying).unsqueeze(-1) * encoder.head_size + torch.arange(encoder.head_size)
        for projection in (encoder.query, encoder.key, encoder.value):
            _take(projection, rows.flatten(), dim=0)
        _take(encoder.output_projection, rows.flatten(), dim=1)


def _take(linear: nn.Linear, indices: Tensor, dim: int) -> None:
    """Shrink a linear layer to some of its outputs (dim 0) or inputs (dim 1)."""
    with torch.no_grad():
        indices = indices.to(linear.weight.device)
        linear.weight = nn.Parameter(linear.weight.index_select(dim, indices))
        if dim == 0 and linear.bias is not None:
            linear.bias = nn.Parameter(linear.bias.index_select(0, indices))
    linear.out_features, linear.in_features = linear.weight.shape
