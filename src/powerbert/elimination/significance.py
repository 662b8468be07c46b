"""Significance of word-vectors from the attention that they receive (section 2.1)."""

import torch
from torch import Tensor

BLOCK_BYTES = 4 * 2**20
"""Size of the attention probabilities that ``blockwise_significance`` holds at a time; it fits CPU caches."""


def significance_scores(
    attention: Tensor,
    mask: Tensor | None = None,
    *,
    include_diagonal: bool = True,
    pad_queries: bool = False,
    first_query: int = 0,
) -> Tensor:
    """Compute Sig(w), the sum over heads h and query words w' of ``A_h[w', w]``, [B, N] (section 2.1).

    Sums are in float32 at least, without gradient: significance only serves to rank. That of padding is
    meaningless; ranking puts padding last.

    Args:
        attention: Attention probabilities before dropout, [B, H, Q, N]. Q may be a block of the query rows;
            the results of all blocks add up to the significance.
        mask: [B, N] or None.
        include_diagonal: Whether the attention of a word to itself counts.
        pad_queries: Whether the attention paid by padding counts. Significance then depends on how far the
            batch is padded.
        first_query: Position of the first of the Q rows.
    """
    at_least_float32 = torch.promote_types(attention.dtype, torch.float32)
    received = attention.detach().sum(dim=1, dtype=at_least_float32)
    queries = slice(first_query, first_query + received.shape[1])
    if not include_diagonal:
        words = torch.arange(received.shape[2], device=received.device)
        received = received.masked_fill(words[queries].unsqueeze(-1) == words, 0.0)
    if mask is not None and not pad_queries:
        received = received * mask[:, queries].unsqueeze(-1)
    return received.sum(dim=1)


def attention_probabilities(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Compute ``softmax(Q K^T)`` before dropout, [B, H, Q, N], in float32 at least; 0 for a padding key.

    Queries are [B, H, Q, E], keys [B, H, N, E], E being the size of a head.
    """
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if mask is not None:
        # The lowest finite number, not -inf: an input of padding alone gets even attention instead of NaN.
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


@torch.no_grad()
def blockwise_significance(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    *,
    include_diagonal: bool = True,
    pad_queries: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> Tensor:
    """Compute ``significance_scores`` of ``attention_probabilities``, [B, N], without holding the latter.

    A block is several inputs, or some query rows of one input if a whole one exceeds ``block_bytes`` (in
    float32; a single row is never divided). An exported model has symbolic sizes, so it takes one block.
    Queries and keys are [B, H, N, E].
    """

    def received_from(inputs: slice, first: int, last: int) -> Tensor:
        words = None if mask is None else mask[inputs]
        return significance_scores(
            attention_probabilities(query[inputs, :, first:last], key[inputs], words),
            words,
            include_diagonal=include_diagonal,
            pad_queries=pad_queries,
            first_query=first,
        )

    batch, heads, length, _ = query.shape
    if torch.compiler.is_exporting():
        return received_from(slice(None), 0, length)
    row_bytes = 4 * heads * length
    rows = min(length, max(1, block_bytes // row_bytes))
    inputs = max(1, block_bytes // (row_bytes * length))
    blocks = []
    for start in range(0, batch, inputs):
        block = slice(start, start + inputs)
        received = received_from(block, 0, rows)
        for first in range(rows, length, rows):
            received += received_from(block, first, min(first + rows, length))
        blocks.append(received)
    return torch.cat(blocks)
