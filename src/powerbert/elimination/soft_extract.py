"""The soft-extract layers and the regularizer of the configuration search (section 2.2)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SoftExtract(nn.Module):
    """The retention parameters ``r_j[k]`` of every encoder j and ordered position k.

    With ``bins``, a parameter stands for a bin of the relative ordered position instead: the word at
    ordered position p, from 0, of n real words lies in bin ``floor(p * length / n)``. [CLS], at position 0,
    is never scaled then.

    Attributes:
        retention_parameters: ``r``, [L, length], initialised at 1; ``clip_`` keeps it in [0, 1].
        eliminating: the encoders that can eliminate, from 0, None for all; another one retains what the last
            of them before it does, and its own parameters do not count.
    """

    def __init__(
        self, num_encoders: int, length: int, *, bins: bool = False, eliminating: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.bins = bins
        can = range(num_encoders) if eliminating is None else eliminating
        self.source = [max((c for c in can if c <= j), default=j) for j in range(num_encoders)]
        self.retention_parameters = nn.Parameter(torch.ones(num_encoders, length))

    def scale(self, hidden: Tensor, ranks: Tensor, encoder: int, words: Tensor | None = None) -> Tensor:
        """Multiply word-vectors, [B, N, D], by the retention parameters of their ordered positions, [B, N].

        Encoders and ordered positions count from 0; no gradient passes through the latter. ``words`` is the
        number of real words of each input, [B], None for N; only bins need it.

        Raises:
            ValueError: If N exceeds the number of retention parameters, which are no bins.
        """
        length = self.retention_parameters.shape[1]
        own = self.retention_parameters[encoder]
        if self.bins:
            real = ranks.shape[1] if words is None else words.clamp_min(1).unsqueeze(1)
            extent = own[(ranks * length // real).clamp_max(length - 1)].masked_fill(ranks == 0, 1.0)
        elif ranks.shape[1] > length:
            raise ValueError(
                f"inputs of {ranks.shape[1]} words, but only {length} retention parameters an encoder"
            )
        else:
            extent = own[ranks]
        return hidden * extent.unsqueeze(-1).to(hidden.dtype)

    def mass(self) -> Tensor:
        """Sum the retention parameters of each encoder, [L]: the word-vectors that it retains."""
        return self.retention_parameters[self.source].sum(dim=1)

    def shares(self) -> Tensor:
        """Average the retention parameters of each encoder, [L]: the share of words that it retains."""
        return self.retention_parameters[self.source].mean(dim=1)

    @torch.no_grad()
    def clip_(self) -> None:
        """Clip every retention parameter to [0, 1] in place; call it after each optimizer step."""
        self.retention_parameters.clamp_(0.0, 1.0)


def mass_regularizer(mass: Tensor) -> Tensor:
    """Sum ``j * mass(j)`` over encoders j = 1..L, a scalar; lambda weighs it against the task's loss."""
    index = torch.arange(1, len(mass) + 1, dtype=mass.dtype, device=mass.device)
    return (index * mass).sum()
