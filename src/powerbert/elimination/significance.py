"""Significance of word-vectors from the attention that they receive (section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_BYTES = 4 * 2**20
"""Attention probabilities that ``blockwise_significance`` holds at a time; they stay in a CPU's caches."""


def significance_scores(
    attention: Tensor,
    mask: Tensor | None = None,
    *,
    include_diagonal: bool = True,
    pad_queries: bool = False,
    first_query: int = 0,
) -> Tensor:
    """Sig(w): the sum over heads h and query words w' of ``A_h[w', w]``.

    Sums are taken in float32 at least, and nothing is differentiated: significance only serves to rank.

    Args:
        attention: Attention probabilities before dropout, [B, H, Q, N]: input, head, query, key. The sum
            over blocks of query rows is the significance that all rows give.
        mask: True where a word is real and False where it is padding, [B, N]; None if every word is real.
        include_diagonal: Whether the attention of a word to itself counts.
        pad_queries: Whether the attention that padding pays to a word counts. The significance of a word then
            depends on how far its batch is padded.
        first_query: Position of the word whose query is the first of the Q rows.

    Returns:
        Significance of each word-vector, [B, N]. That of padding means nothing; ranking puts padding last.
    """
    at_least_float32 = torch.promote_types(attention.dtype, torch.float32)
    received = attention.detach().sum(dim=1, dtype=at_least_float32)
    queries = received.shape[1]
    if not include_diagonal:
        words = torch.arange(received.shape[2], device=received.device)
        to_itself = words[first_query : first_query + queries].unsqueeze(-1) == words
        received = received.masked_fill(to_itself, 0.0)
    if mask is not None and not pad_queries:
        received = received * mask[:, first_query : first_query + queries].unsqueeze(-1)
    return received.sum(dim=1)


def attention_probabilities(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """``softmax(Q K^T)`` before dropout, in float32 at least; 0 for a padding key.

    Args:
        query: Queries of each head, [B, H, Q, E].
        key: Keys of each head, [B, H, N, E].
        mask: True where a word is real, [B, N]; None if every word is real.

    Returns:
        Attention probabilities, [B, H, Q, N].
    """
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if mask is not None:
        # The least finite number, not -inf: an input of padding alone gets even attention instead of NaN.
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
    """``significance_scores`` of ``attention_probabilities`` without ever holding all of them.

    They come in blocks: of a few inputs while one input's fit a block, else of an input's query rows. A model
    that is being exported has no numbers to cut blocks by, and takes them whole.

    Args:
        query: Queries of each head, [B, H, N, E].
        key: Keys of each head, [B, H, N, E].
        mask: True where a word is real, [B, N]; None if every word is real.
        include_diagonal: As of ``significance_scores``.
        pad_queries: As of ``significance_scores``.
        block_bytes: Size of a block in float32; a single query row of one input is never divided.

    Returns:
        Significance of each word-vector, [B, N].
    """

    def given_by(inputs: slice, first: int, last: int) -> Tensor:
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
        return given_by(slice(None), 0, length)
    row_bytes = 4 * heads * length
    rows = min(length, max(1, block_bytes // row_bytes))
    inputs = max(1, block_bytes // (row_bytes * length))
    blocks = []
    for start in range(0, batch, inputs):
        block = slice(start, start + inputs)
        received = given_by(block, 0, rows)
        for first in range(rows, length, rows):
            received += given_by(block, first, min(first + rows, length))
        blocks.append(received)
    return torch.cat(blocks)
