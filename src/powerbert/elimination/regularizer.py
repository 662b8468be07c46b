"""The regularizer of the configuration search (section 2.2)."""

import torch
from torch import Tensor


def mass_regularizer(mass: Tensor) -> Tensor:
    """Sum ``j * mass(j)`` over encoders j = 1..L, a scalar; lambda weighs it against the task's loss."""
    index = torch.arange(1, len(mass) + 1, dtype=mass.dtype, device=mass.device)
    return (index * mass).sum()
