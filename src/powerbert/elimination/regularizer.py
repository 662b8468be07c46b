"""The regularizer of the configuration search (section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def mass_regularizer(mass: Tensor) -> Tensor:
    """The sum over encoders j = 1..L of ``j * mass(j)``, which lambda weighs against the loss of the task.

    Args:
        mass: Mass of each encoder, [L].

    Returns:
        A scalar.
    """
    index = torch.arange(1, len(mass) + 1, dtype=mass.dtype, device=mass.device)
    return (index * mass).sum()
