"""Significance of word-vectors from the attention that they receive (section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def significance_scores(
    attention: Tensor,
    mask: Tensor | None = None,
    *,
    include_diagonal: bool = True,
    pad_queries: bool = False,
) -> Tensor:
    """Sig(w): the sum over heads h and query words w' of ``A_h[w', w]``.

    Sums are taken in float32 at least, and nothing is differentiated: significance only serves to rank.

    Args:
        attention: Attention probabilities before dropout, [B, H, N, N]: input, head, query, key.
        mask: True where a word is real and False where it is padding, [B, N]; None if every word is real.
        include_diagonal: Whether the attention of a word to itself counts.
        pad_queries: Whether the attention that padding pays to a word counts. The significance of a word then
            depends on how far its batch is padded.

    Returns:
        Significance of each word-vector, [B, N]. That of padding means nothing; ranking puts padding last.
    """
    at_least_float32 = torch.promote_types(attention.dtype, torch.float32)
    received = attention.detach().sum(dim=1, dtype=at_least_float32)
    if not include_diagonal:
        to_itself = torch.eye(received.shape[-1], dtype=torch.bool, device=received.device)
        received = received.masked_fill(to_itself, 0.0)
    if mask is not None and not pad_queries:
        received = received * mask.unsqueeze(-1)
    return received.sum(dim=1)
