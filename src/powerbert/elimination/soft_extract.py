"""The soft-extract layers and the regularizer of the configuration search (section 2.2)."""

import torch
from torch import Tensor, nn


class SoftExtract(nn.Module):
    """The retention parameters ``r_j[k]`` of every encoder j and ordered position k.

    Attributes:
        retention_parameters: ``r``, [L, l], initialised at 1; ``clip_`` keeps it in [0, 1].
    """

    def __init__(self, num_encoders: int, length: int) -> None:
        super().__init__()
        self.retention_parameters = nn.Parameter(torch.ones(num_encoders, length))

    def scale(self, hidden: Tensor, ranks: Tensor, encoder: int) -> Tensor:
        """Multiply word-vectors, [B, N, D], by the retention parameters of their ordered positions, [B, N].

        Encoders and ordered positions count from 0; no gradient passes through the latter.

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


def mass_regularizer(mass: Tensor) -> Tensor:
    """Sum ``j * mass(j)`` over encoders j = 1..L, a scalar; lambda weighs it against the task's loss."""
    index = torch.arange(1, len(mass) + 1, dtype=mass.dtype, device=mass.device)
    return (index * mass).sum()
