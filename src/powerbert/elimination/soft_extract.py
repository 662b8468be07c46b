"""The soft-extract layers of the configuration search (section 2.2)."""

import torch
from torch import Tensor, nn


class SoftExtract(nn.Module):
    """The retention parameters ``r_j[k]`` of every encoder j and ordered position k.

    Args:
        num_encoders: Number of encoders, L.
        length: Number of ordered positions, l; the longest possible input.

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
            ranks: Their ordered positions from 0, [B, N]; integers, so no gradient passes through them.
            encoder: Its index, from 0.

        Returns:
            Scaled word-vectors, [B, N, D].

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
        """Sum the retention parameters of each encoder, [L]: the word-vectors that it retains."""
        return self.retention_parameters.sum(dim=1)

    @torch.no_grad()
    def clip_(self) -> None:
        """Clip every retention parameter to [0, 1] in place; call it after each optimizer step."""
        self.retention_parameters.clamp_(0.0, 1.0)
