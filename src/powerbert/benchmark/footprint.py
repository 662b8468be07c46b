"""How much memory a forward pass needs, roughly, and how much there is."""

from pathlib import Path

import torch
from transformers import PreTrainedConfig

_MATRICES = 3
"""Attention matrices in float32 that are there at once where they are written to memory: before and after
softmax, and one on its way between."""


def forward_bytes(config: PreTrainedConfig, inputs: int, length: int, *, fused: bool) -> int:
    """Estimates what a forward pass needs besides weights, in float32.

    Args:
        config: of the host.
        inputs: sequences of a batch.
        length: word pieces of each.
        fused: whether attention matrices are never written to memory.

    Returns:
        Bytes; an upper bound rather than a mean.
    """
    # queries, keys, values, context, residual, output; the feed-forward network around its activation
    numbers = inputs * length * (6 * config.hidden_size + 2 * _feed_forward_size(config))
    if not fused:
        numbers += _MATRICES * inputs * config.num_attention_heads * length**2
    return 4 * numbers


def free_bytes(device: torch.device) -> int | None:
    """Memory that can still be had on a device; None if that cannot be told."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(kilobytes) for kilobytes in free), None)


def _feed_forward_size(config: PreTrainedConfig) -> int:
    return getattr(config, "intermediate_size", None) or config.hidden_dim  # DistilBERT's name
