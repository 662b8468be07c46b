"""Significance of word-vectors from the attention that they receive (section 2.1)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from powerbert.elimination.extract import cls_position

CACHED_BYTES = 2**20
"""Size of a block of ``blockwise_significance`` on a CPU, where it fits a core's cache."""

ACCELERATOR_BYTES = 64 * 2**20
"""Size of such a block elsewhere."""

SHORT = 128
"""Inputs of up to so many words take whole attention matrices; blocks of rows save little there."""

SHORT_BYTES = 4 * 2**20
"""Size of the matrices of several short inputs that are held at a time."""

LONGEST_SUM = 128
"""Number of rows that a product adds up one after the other; rounding errors grow with it."""


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


def attention_probabilities(
    query: Tensor, key: Tensor, mask: Tensor | None, bias: Tensor | None = None
) -> Tensor:
    """Compute ``softmax(Q K^T / sqrt(E) + bias)`` before dropout, [B, H, Q, N], in float32 at least.

    It is 0 for a padding key. Queries are [B, H, Q, E], keys [B, H, N, E], E being the size of a head; the
    bias broadcasts to the scores.
    """
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        # The lowest finite number, not -inf: an input of padding alone gets even attention instead of NaN.
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


@torch.no_grad()
def blockwise_significance(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    include_diagonal: bool = True,
    pad_queries: bool = False,
    block_bytes: int | None = None,
) -> Tensor:
    """Compute ``significance_scores`` of ``attention_probabilities``, [B, N], without holding the latter.

    Of inputs beyond ``SHORT`` words, or with ``block_bytes``, a block is some query rows of one or several
    heads' matrices, up to so many bytes (a single row is never divided). Of others it is the matrices of
    several inputs. An exported model has symbolic sizes, so it takes one block. Queries and keys are
    [B, H, N, E].
    """

    def of_whole_matrices(inputs: slice) -> Tensor:
        words = None if mask is None else mask[inputs]
        own = None if bias is None else bias[inputs]
        attention = attention_probabilities(query[inputs], key[inputs], words, own)
        return significance_scores(
            attention, words, include_diagonal=include_diagonal, pad_queries=pad_queries
        )

    batch, heads, length, size = query.shape
    if torch.compiler.is_exporting():
        return of_whole_matrices(slice(None))
    if (length <= SHORT and block_bytes is None) or bias is not None:
        inputs = max(1, SHORT_BYTES // (4 * heads * length**2))
        starts = range(0, batch, inputs)
        return torch.cat([of_whole_matrices(slice(start, start + inputs)) for start in starts])
    dtype = torch.promote_types(query.dtype, torch.float32)
    weights = query.new_ones(batch, heads, length, dtype=dtype)
    if mask is not None:
        # One more dimension adds the mask to the scores within their product: of a query 1, of a key 0 or
        # the lowest finite number, as in attention_probabilities.
        padding = torch.zeros_like(mask, dtype=key.dtype).masked_fill(~mask, torch.finfo(key.dtype).min)
        query = F.pad(query, (0, 1), value=1.0)
        key = torch.cat([key, padding[:, None, :, None].expand(-1, heads, -1, -1)], dim=-1)
        if not pad_queries:
            weights *= mask[:, None, :]
    queries, keys = query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2)
    weights = weights.view(-1, 1, length)
    if block_bytes is None:
        block_bytes = CACHED_BYTES if query.device.type == "cpu" else ACCELERATOR_BYTES
    row_bytes = dtype.itemsize * length
    rows = min(length, LONGEST_SUM, max(1, block_bytes // row_bytes))
    matrices = max(1, block_bytes // (row_bytes * rows))
    firsts = range(0, length, rows)
    received = weights.new_empty(len(firsts), *weights.shape)
    for start in range(0, batch * heads, matrices):
        block = slice(start, start + matrices)
        for part, first in enumerate(firsts):
            some = slice(first, first + rows)
            scores = _scaled_product(queries[block, some], keys[block], size**-0.5)
            attention = scores.softmax(dim=-1, dtype=dtype)
            if not include_diagonal:
                attention.diagonal(first, dim1=1, dim2=2).zero_()
            # This reads the block once. Autocast leaves a product alone that has a place to go.
            torch.bmm(weights[block, :, some], attention, out=received[part, block])
    return received.view(-1, batch, heads, length).sum(dim=(0, 2))


def _scaled_product(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """Multiply [M, R, E] by [M, E, N] in their own data type, whatever autocast wants."""
    scores = queries.new_empty(*queries.shape[:2], keys.shape[2])
    # Not in place: the counter of operations would not know that function.
    return torch.baddbmm(scores, queries, keys, beta=0, alpha=scale, out=scores)


@torch.no_grad()
def cls_significance(
    query: Tensor, key: Tensor, mask: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Compute the attention that [CLS] pays to each word, summed over heads, [B, N], in float32 at least.

    Queries and keys are [B, H, N, E]; the bias is [B, 1 or H, N, N]. EViT (Liang et
    al., 2022) ranks by this score.
    """
    first = query.new_zeros(len(query), 1, dtype=torch.long) if mask is None else cls_position(mask)

    def row(rows: Tensor) -> Tensor:
        return rows.gather(2, first[:, None, :, None].expand(*rows.shape[:2], 1, rows.shape[3]))

    own = None if bias is None else row(bias)
    return significance_scores(attention_probabilities(row(query), key, mask, own))
