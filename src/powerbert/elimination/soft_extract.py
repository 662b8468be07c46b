"""The soft-extract layers of the configuration search (section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SoftExtract(nn.Module):
    """Retention parameters ``r_j[k]`` of every encoder j and ordered position k, with what is done to them.

    Args:
        num_encoders: Number of encoders, L.
        length: Number of ordered positions, l: no input may have more word-vectors.

    Attributes:
        retention_parameters: ``r``, [L, l], initialised at 1; ``clip_`` keeps it in [0, 1].
    """

    def __init__(self, num_encoders: int, length: int) -> None:
        super().__init__()
        self.retention_parameters = nn.Parameter(torch.ones(num_encoders, length))

    def scale(self, hidden: Tensor, ranks: Tensor, encoder: int) -> Tensor:
        """Multiply each word-vector by the retention parameter of its ordered position.

        Args:
            hidden: Word-vectors, [B, N, D].
            ranks: Their ordered positions from 0, [B, N]; integers, so that no gradient passes through the
                ranking.
            encoder: Which encoder, from 0.

        Returns:
            The scaled word-vectors, [B, N, D].

        Raises:
            ValueError: If N exceeds the number of retention parameters.
        """
        length = self.retention_parameters.shape[1]
        if ranks.shape[1] > length:
            raise ValueError(
                f"inputs of {ranks.shape[1]} words, but only {length} retention parameters an encoder"
            )
        extent = self.retention_parameters[encoder][ranks]
        return hidden * extent.unsqueeze(-1).to(hidden.dtype)

    def mass(self) -> Tensor:
        """To what extent each encoder retains its ordered positions, the sum of its parameters, [L]."""
        return self.retention_parameters.sum(dim=1)

    @torch.no_grad()
    def clip_(self) -> None:
        """Bring every retention parameter back into [0, 1], in place; due after each optimizer step."""
        self.retention_parameters.clamp_(0.0, 1.0)
