"""One encoder of any host model, with the extract or the soft-extract layer in it.

    word-vectors ─ self-attention ─ output projection, residual, LayerNorm ─ extract ─ feed-forward network ─

The paper puts extraction before the feed-forward network. An eliminated word-vector needs no row of
self-attention's output either: once significance has told which stay, only their queries attend. Modules and
parameters are the host's own: a backbone only says which is which.

Shapes: B inputs, H heads, N word-vectors, K retained ones, D hidden size, E size of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from powerbert.elimination import extract_mask, extract_rows, ordered_positions, retained_positions

Score = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Significance of word-vectors, [B, N], from each head's queries and keys, [B, H, N, E], and mask, [B, N]."""


@dataclass(frozen=True)
class HostEncoder:
    """One encoder of a host model under the names of the paper; what a backbone has to provide.

    Attributes:
        query: Projection to the queries of all heads, [B, N, D] to [B, N, H * E].
        key: Projection to the keys.
        value: Projection to the values.
        output_projection: From the heads' context, [B, N, H * E], to [B, N, D].
        head_size: E; the number of heads follows from it, as heads may have been pruned.
        attention_dropout: The dropout of attention probabilities.
        attention_output: From the heads' context and the encoder's input to the self-attention's output:
            output projection, residual connection and LayerNorm, ([B, N, H * E], [B, N, D]) to [B, N, D].
        feed_forward: The feed-forward network with its residual connection and LayerNorm, [B, N, D] to [B, N,
            D].
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output_projection: nn.Linear
    head_size: int
    attention_dropout: nn.Dropout
    attention_output: Callable[[Tensor, Tensor], Tensor]
    feed_forward: Callable[[Tensor], Tensor]

    @property
    def heads(self) -> int:
        """Number of attention heads, H."""
        return self.query.out_features // self.head_size


def encode(host: HostEncoder, hidden: Tensor, mask: Tensor | None, positions: Tensor | None = None) -> Tensor:
    """Run an encoder that retains all word-vectors, or those at given positions.

    Args:
        host: The encoder.
        hidden: Word-vectors, [B, N, D].
        mask: True where a word is real, [B, N]; None if every word is real.
        positions: Which to retain, [B, K]; None for all. The others are attended to, but have no output.

    Returns:
        The encoder's output, [B, K, D]; [B, N, D] without ``positions``.
    """
    retained = hidden if positions is None else extract_rows(hidden, positions)
    attended = host.attention_output(
        _attend(host, host.query(retained), host.key(hidden), host.value(hidden), mask), retained
    )
    return host.feed_forward(attended)


def encode_and_extract(
    host: HostEncoder, hidden: Tensor, mask: Tensor | None, k: int, score: Score
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Run an encoder that retains its k most significant word-vectors, in their order, [CLS] among them.

    Args:
        host: The encoder.
        hidden: Word-vectors, [B, N, D].
        mask: True where a word is real, [B, N]; None if every word is real.
        k: How many to retain, K; less than N.
        score: Significance of word-vectors.

    Returns:
        The encoder's output, [B, K, D]; its mask, [B, K], None if ``mask`` is; the retained positions, [B,
        K].
    """
    query, key, value = host.query(hidden), host.key(hidden), host.value(hidden)
    significance = score(_split_heads(host, query), _split_heads(host, key), mask)
    positions = retained_positions(significance, mask, k)
    attended = host.attention_output(
        _attend(host, extract_rows(query, positions), key, value, mask), extract_rows(hidden, positions)
    )
    return host.feed_forward(attended), None if mask is None else extract_mask(mask, positions), positions


def encode_and_soft_extract(
    host: HostEncoder,
    hidden: Tensor,
    mask: Tensor | None,
    scale: Callable[[Tensor, Tensor], Tensor],
    score: Score,
    protect_cls: bool,
) -> Tensor:
    """Run an encoder that retains each word-vector to the extent that its ordered position is retained.

    Args:
        host: The encoder.
        hidden: Word-vectors, [B, N, D].
        mask: True where a word is real, [B, N]; None if every word is real.
        scale: This encoder's soft-extract layer: word-vectors, [B, N, D], and their ordered positions, [B,
            N], to scaled word-vectors.
        score: Significance of word-vectors.
        protect_cls: Whether [CLS] takes the first ordered position whatever its significance.

    Returns:
        The encoder's output, [B, N, D].
    """
    query, key, value = host.query(hidden), host.key(hidden), host.value(hidden)
    significance = score(_split_heads(host, query), _split_heads(host, key), mask)
    ranks = ordered_positions(significance, mask, protect_cls=protect_cls)
    attended = host.attention_output(_attend(host, query, key, value, mask), hidden)
    return host.feed_forward(scale(attended, ranks))


def _attend(host: HostEncoder, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """The heads' context ``softmax(Q K^T) V``, [B, Q, H * E], with no attention matrix in memory."""
    dropout = host.attention_dropout
    context = F.scaled_dot_product_attention(
        _split_heads(host, query),
        _split_heads(host, key),
        _split_heads(host, value),
        attn_mask=None if mask is None else mask[:, None, None, :],
        dropout_p=dropout.p if dropout.training else 0.0,
    )
    return _merge_heads(context)


def _split_heads(host: HostEncoder, projected: Tensor) -> Tensor:
    """From [B, N, H * E] to [B, H, N, E]."""
    return projected.unflatten(-1, (-1, host.head_size)).transpose(1, 2)


def _merge_heads(context: Tensor) -> Tensor:
    """From [B, H, K, E] to [B, K, H * E]."""
    return context.transpose(1, 2).flatten(2)
