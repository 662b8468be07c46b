"""One encoder of any host model, with the extract or the soft-extract layer in it.

    word-vectors ─ self-attention ─ output projection, residual, LayerNorm ─ extract ─ feed-forward network ─

A host may also normalise before attention and let attention depend on where its words stood in the input.

The paper extracts before the feed-forward network (section 2.1). An eliminated word-vector needs no output
row of self-attention either: once significance has decided which ones stay, only their queries attend.

Shapes: B inputs, H heads, N word-vectors, K retained ones, D hidden size, E size of a head. ``mask`` is True
where a word is real, [B, N]; None if every word is real. ``places`` are the words' positions in the model's
input, [B, N]; None if they are 0 to N - 1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from powerbert.elimination.extract import cls_position, extract_rows, ordered_positions, retained_positions
from powerbert.elimination.significance import attention_probabilities
from powerbert.elimination.threshold import positions_above


class Related(NamedTuple):
    """What the scores of attention come from, ``Q K^T / sqrt(E) + bias``.

    Attributes:
        query: of each head, [B, H, Q, E]; keys are [B, H, N, E].
        bias: [B, 1 or H, Q, N]; None for 0.
    """

    query: Tensor
    key: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True)
class Part:
    """One of several projections of equal size that share a linear layer."""

    whole: nn.Linear
    index: int
    parts: int

    @property
    def out_features(self) -> int:
        """Outputs of this part."""
        return self.whole.out_features // self.parts

    def __call__(self, hidden: Tensor) -> Tensor:
        """Project [B, N, D] to [B, N, H * E]."""
        rows = slice(self.index * self.out_features, (self.index + 1) * self.out_features)
        if type(self.whole) is not nn.Linear:  # such as an adapter's
            return self.whole(hidden)[..., rows]
        bias = None if self.whole.bias is None else self.whole.bias[rows]
        return F.linear(hidden, self.whole.weight[rows], bias)


Projection = nn.Linear | Part

Relate = Callable[[Tensor, Tensor, Tensor, Tensor], Related]
"""Applies places, [B, Q] and [B, N], to queries and keys, [B, H, Q, E] and [B, H, N, E]."""

Score = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""Significance of word-vectors, [B, N], from each head's queries and keys, [B, H, N, E], mask and bias."""


@dataclass(frozen=True)
class HostEncoder:
    """One encoder of a host model under the names of the paper; modules and parameters are the host's own.

    Attributes:
        query: Projection to the queries of all heads, [B, N, D] to [B, N, H * E]; so ``key`` and ``value``.
        output_projection: From the heads' context, [B, N, H * E], to [B, N, D].
        head_size: E; H follows from it, since heads may have been pruned.
        attention_dropout: The dropout of attention probabilities.
        attention_output: Output projection, residual connection and LayerNorm: from the heads' context and
            the encoder's input, ([B, N, H * E], [B, N, D]), to [B, N, D].
        feed_forward: The feed-forward network with residual connection and LayerNorm, [B, N, D] to itself.
        normalise: What comes before the projections to queries, keys and values, [B, N, D] to itself; None if
            nothing does. The residual connection goes around it.
        relate: What attention has from the words' positions; None if the embeddings alone have it.
    """

    query: Projection
    key: Projection
    value: Projection
    output_projection: nn.Linear
    head_size: int
    attention_dropout: nn.Dropout
    attention_output: Callable[[Tensor, Tensor], Tensor]
    feed_forward: Callable[[Tensor], Tensor]
    normalise: Callable[[Tensor], Tensor] | None = None
    relate: Relate | None = None

    @property
    def heads(self) -> int:
        """Number of attention heads, H."""
        return self.query.out_features // self.head_size

    def project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute queries, keys and values, each [B, N, H * E], of word-vectors, [B, N, D]."""
        hidden = self.normalised(hidden)
        return self.query(hidden), self.key(hidden), self.value(hidden)

    def normalised(self, hidden: Tensor) -> Tensor:
        """Return what the projections are given for word-vectors, [B, N, D]."""
        return hidden if self.normalise is None else self.normalise(hidden)

    def split_heads(self, projected: Tensor) -> Tensor:
        """Reshape [B, N, H * E] to [B, H, N, E]."""
        return projected.unflatten(-1, (-1, self.head_size)).transpose(1, 2)

    def related(
        self, query: Tensor, key: Tensor, places: Tensor | None = None, positions: Tensor | None = None
    ) -> Related:
        """Split queries, [B, K, H * E], and keys, [B, N, H * E], into heads, and apply the words' places.

        The queries are those at ``positions`` among the keys, [B, K]; None if there is one for each key.
        """
        query, key = self.split_heads(query), self.split_heads(key)
        if self.relate is None:
            return Related(query, key)
        places = in_order(key[:, 0]) if places is None else places
        return self.relate(query, key, places_after(places, positions), places)

    def related_at(self, related: Related, positions: Tensor) -> Related:
        """Keep the queries at some positions, [B, K]."""
        query, key, bias = related
        query = self.split_heads(extract_rows(query.transpose(1, 2).flatten(2), positions))
        return Related(query, key, None if bias is None else extract_rows(bias, positions.unsqueeze(1)))

    def attend(self, related: Related, value: Tensor, mask: Tensor | None, residual: Tensor) -> Tensor:
        """Run self-attention up to its LayerNorm, [B, K, D], with no attention matrix in memory.

        There are K queries; values are [B, N, H * E], the residual [B, K, D].
        """
        query, key, bias = related
        value, dropout = self.split_heads(value), self.attention_dropout
        if bias is not None and torch.compiler.is_exporting():
            # The exporters of ONNX know no fused attention with such a mask.
            context = attention_probabilities(query, key, mask, bias).to(value.dtype) @ value
        else:
            allowed = None if mask is None else mask[:, None, None, :]
            if bias is not None and allowed is not None:
                # The lowest finite number: an input of padding alone gets even attention instead of NaN.
                bias = bias.masked_fill(~allowed, torch.finfo(bias.dtype).min)
            context = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=allowed if bias is None else bias,
                dropout_p=dropout.p if dropout.training else 0.0,
            )
        return self.attention_output(context.transpose(1, 2).flatten(2), residual)


def encode(
    host: HostEncoder,
    hidden: Tensor,
    mask: Tensor | None,
    positions: Tensor | None = None,
    scale: Callable[[Tensor], Tensor] | None = None,
    places: Tensor | None = None,
) -> Tensor:
    """Run an encoder on word-vectors, [B, N, D]; retain those at ``positions``, [B, K], or all: [B, K, D].

    The others are attended to, but have no output. ``scale`` is applied to word-vectors, [B, K, D], before
    the feed-forward network.
    """
    given = host.normalised(hidden)
    asking = given if positions is None else extract_rows(given, positions)
    residual = hidden if positions is None else extract_rows(hidden, positions)
    related = host.related(host.query(asking), host.key(given), places, positions)
    attended = host.attend(related, host.value(given), mask, residual)
    return host.feed_forward(attended if scale is None else scale(attended))


def encode_and_extract(
    host: HostEncoder,
    hidden: Tensor,
    mask: Tensor | None,
    k: int,
    score: Score,
    own: Tensor | None = None,
    places: Tensor | None = None,
    protected: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Run an encoder that retains the k most significant word-vectors, k <= N, in order, [CLS] among them.

    ``own`` is the number of word-vectors that each input retains, at most k, [B]; None for k. Those that are
    ``protected``, [B, N], are retained before others.

    Returns:
        The encoder's output, [B, K, D]; its mask, [B, K], None if ``mask`` is; the retained positions, [B,
        K].
    """
    query, key, value = host.project(hidden)
    related = host.related(query, key, places)
    significance = score_of(related, mask, score)
    positions, retained_mask = retained_positions(significance, mask, k, own, protected)
    related = host.related_at(related, positions)
    output = host.feed_forward(host.attend(related, value, mask, extract_rows(hidden, positions)))
    return output, retained_mask, positions


def encode_and_soft_extract(
    host: HostEncoder,
    hidden: Tensor,
    mask: Tensor | None,
    scale: Callable[[Tensor, Tensor], Tensor],
    score: Score,
    protect_cls: bool,
    protected: Tensor | None = None,
) -> Tensor:
    """Run an encoder that multiplies each word-vector by the retention parameter of its ordered position.

    ``scale`` is its soft-extract layer: from word-vectors, [B, N, D], and ordered positions, [B, N], to
    scaled word-vectors. With ``protect_cls``, [CLS] takes the first position whatever its significance, and
    the words that are ``protected``, [B, N], the next.
    """
    query, key, value = host.project(hidden)
    related = host.related(query, key)
    significance = score_of(related, mask, score)
    ranks = ordered_positions(significance, mask, protect_cls=protect_cls, protected=protected)
    return host.feed_forward(scale(host.attend(related, value, mask, hidden), ranks))


def encode_and_threshold(
    host: HostEncoder,
    hidden: Tensor,
    mask: Tensor | None,
    threshold: float,
    score: Score,
    places: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run an encoder that retains the words whose score reaches a threshold, in order, and [CLS].

    Returns:
        The encoder's output, [B, K, D]; its mask, [B, K]; the retained positions, [B, K], None if K is N.
    """
    query, key, value = host.project(hidden)
    related = host.related(query, key, places)
    positions, retained_mask = positions_above(score_of(related, mask, score), mask, threshold)
    if positions is not None:
        related = host.related_at(related, positions)
        hidden = extract_rows(hidden, positions)
    return host.feed_forward(host.attend(related, value, mask, hidden)), retained_mask, positions


def encode_and_soft_threshold(host: HostEncoder, hidden: Tensor, mask: Tensor, soft_mask: Score) -> Tensor:
    """Run an encoder whose output is multiplied by a soft mask, [B, N].

    ``soft_mask`` computes it as a score.
    """
    query, key, value = host.project(hidden)
    related = host.related(query, key)
    output = host.feed_forward(host.attend(related, value, mask, hidden))
    return output * score_of(related, mask, soft_mask).unsqueeze(-1).to(output.dtype)


def score_of(related: Related, mask: Tensor | None, score: Score) -> Tensor:
    """Compute a score, [B, N]."""
    return score(related.query, related.key, mask, related.bias)


def in_order(hidden: Tensor) -> Tensor:
    """Return the places 0 to N - 1 of word-vectors, [B, N, D], as [B, N]."""
    return torch.arange(hidden.shape[1], device=hidden.device).expand(hidden.shape[:2])


def places_after(places: Tensor, positions: Tensor | None) -> Tensor:
    """Return the places, [B, K], of what is retained at ``positions``, [B, K], None for all, of [B, N]."""
    return places if positions is None else places.gather(1, positions)


def position_of_cls(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Return the position of [CLS], [B, 1], among word-vectors, [B, N, D]."""
    return hidden.new_zeros(hidden.shape[0], 1, dtype=torch.long) if mask is None else cls_position(mask)


def row_of_cls(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Return the word-vector of [CLS], [B, 1, D]."""
    return hidden[:, :1] if mask is None else extract_rows(hidden, cls_position(mask))


def keep_heads(encoders: Iterable[HostEncoder], heads: Iterable[Sequence[int]]) -> None:
    """Shrink the projections of each encoder to some of its heads, increasing, from 0; in place.

    The model then computes what it did with the output of the other heads set to zero. An encoder that comes
    several times is shrunk once.
    """
    shrunk = set()
    for encoder, kept in zip(encoders, heads, strict=True):
        if encoder.query in shrunk:
            continue
        shrunk.add(encoder.query)
        rows = torch.as_tensor(kept).unsqueeze(-1) * encoder.head_size + torch.arange(encoder.head_size)
        if isinstance(encoder.query, Part):
            size = encoder.query.out_features
            whole = torch.cat([rows.flatten() + part * size for part in range(encoder.query.parts)])
            _shrink(encoder.query.whole, whole, dim=0)
        else:
            for projection in (encoder.query, encoder.key, encoder.value):
                assert isinstance(projection, nn.Linear)
                _shrink(projection, rows.flatten(), dim=0)
        _shrink(encoder.output_projection, rows.flatten(), dim=1)


@torch.no_grad()
def _shrink(linear: nn.Linear, indices: Tensor, dim: int) -> None:
    """Keep some of the outputs (dim 0) or inputs (dim 1) of a linear layer."""
    indices = indices.to(linear.weight.device)
    linear.weight = nn.Parameter(linear.weight.index_select(dim, indices))
    if dim == 0 and linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias.index_select(0, indices))
    linear.out_features, linear.in_features = linear.weight.shape
