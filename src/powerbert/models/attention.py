"""Attention and dropout that train quickly on long inputs on a CPU.

PyTorch computes attention with dropout by many passes over [B, H, Q, N] tensors, and draws the elements of a
mask one by one. Within ``quick_long_inputs`` attention works on blocks that fit CPU caches, and one random
number of PyTorch's generator serves eight elements of a mask.

Shapes: B inputs, H heads, Q queries, N keys, n real ones, E size of a head, D hidden size.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

SHORT = 128
"""Inputs of up to so many words are left to PyTorch."""

BLOCK_BYTES = 2**20
"""Size of a block of attention probabilities. Smaller ones spend more time between the operations."""

LEVELS = 256
"""The probability of dropout is rounded to a multiple of the inverse: an element of a mask takes a byte."""

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Signed integers by size in bytes."""


@contextmanager
def quick_long_inputs(words: Tensor) -> Iterator[None]:
    """Replace attention and dropout of ``torch.nn.functional`` if a batch, [..., N], is long and on a CPU.

    They are replaced for every model that calls them within the block, where they drop something of more than
    ``SHORT`` words; the backward pass may come after it. They draw other random numbers than PyTorch's.
    """
    quick = words.device.type == "cpu" and words.shape[-1] > SHORT
    with _QuickLongInputs() if quick else nullcontext():
        yield


class _QuickLongInputs(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _REPLACED.get(func, func)(*args, **(kwargs or {}))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **rest: Any,
) -> Tensor:
    """Compute ``F.scaled_dot_product_attention``, by blocks if it has dropout and many keys."""
    quick = _is_quick(query, dropout_p) and query.ndim == 4 and key.shape[2] > SHORT
    quick = quick and query.shape[3] == value.shape[3] and not is_causal and not rest.get("enable_gqa", False)
    spans = real_spans(attn_mask, *key.shape[:3:2]) if quick else None
    if spans is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **rest)
    return blockwise_attention(query, key, value, spans, dropout_p, rest.get("scale"))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Compute ``F.dropout``, with a byte an element for word-vectors of long inputs, [B, N, D]."""
    quick = _is_quick(input, p) and training and not inplace
    if quick and input.ndim == 3 and input.shape[1] > SHORT:
        return bytewise_dropout(input, p)
    return F.dropout(input, p, training, inplace)


_REPLACED: dict[Any, Any] = {F.scaled_dot_product_attention: _attention, F.dropout: _dropout}


def _is_quick(values: Tensor, dropout: float) -> bool:
    return values.device.type == "cpu" and 0 < _dropped_levels(dropout) < LEVELS


def _dropped_levels(dropout: float) -> int:
    return round(dropout * LEVELS)


def bytewise_dropout(values: Tensor, dropout: float) -> Tensor:
    """Set each element to 0 with the probability of dropout, and rescale the others."""
    dropped = _dropped_levels(dropout)
    kept = _random_bytes(values.shape).ge_(dropped - LEVELS // 2)
    return (values * kept.to(values.dtype)).mul_(LEVELS / (LEVELS - dropped))


def real_spans(mask: Tensor | None, batch: int, length: int) -> list[slice] | None:
    """Find the real keys of every input in a mask that broadcasts to [B, H, Q, N] and is True for them.

    Returns:
        B slices; None if heads or queries have different keys, or some input's keys are not consecutive.
    """
    if mask is None:
        return [slice(0, length)] * batch
    if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[1] != 1:
        return None
    of_queries, of_first = mask[:, 0], mask[:, 0, :1]
    if not torch.equal(of_queries, of_first.expand_as(of_queries)):
        return None
    spans = []
    for words in of_first.expand(batch, 1, length):
        places = words[0].nonzero().flatten().tolist()
        first, last = (places[0], places[-1] + 1) if places else (0, 0)
        if last - first != len(places):
            return None
        spans.append(slice(first, last))
    return spans


def blockwise_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    spans: Sequence[slice],
    dropout: float,
    scale: float | None = None,
) -> Tensor:
    """Compute attention with dropout of its probabilities, [B, H, Q, E]; 0 for an input without real keys.

    Probabilities are saved for the backward pass in the dtype of the queries.

    Args:
        query: [B, H, Q, E]; keys and values are [B, H, N, E].
        spans: The real keys of each input.
        scale: Of the scores, by default E ** -0.5.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    with torch.autocast("cpu", enabled=False):
        return _BlockwiseAttention.apply(query, key, value, spans, _dropped_levels(dropout), scale)


class _BlockwiseAttention(torch.autograd.Function):
    """P = softmax(scale * Q K^T), dropped to P' and multiplied by ``rescale`` and V."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        spans: Sequence[slice],
        dropped: int,
        scale: float,
    ) -> Tensor:
        context = torch.zeros_like(query)
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        rescale = LEVELS / (LEVELS - dropped)
        saved = []
        for i, words in enumerate(spans):
            saved_p = query.new_empty(*query.shape[1:3], words.stop - words.start)
            bits = _random_bytes(saved_p.shape)
            for heads, scratch, signs in _blocks(saved_p):
                q, k, v, p = query[i, heads], key[i, heads, words], value[i, heads, words], saved_p[heads]
                _multiply(q, k.transpose(1, 2), scale, out=scratch)
                torch._softmax(scratch, -1, False, out=p)
                _drop(p, signs.copy_(bits[heads]), dropped, out=scratch)
                _multiply(scratch, v, rescale, out=context[i, heads])
            saved += [saved_p, bits]
        ctx.save_for_backward(query, key, value, *saved)
        ctx.spans, ctx.dropped, ctx.scale, ctx.rescale = spans, dropped, scale, rescale
        return context

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_context: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *saved = ctx.saved_tensors
        of_context = of_context.contiguous()
        of_query, of_key, of_value = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for i, words in enumerate(ctx.spans):
            saved_p, bits = saved[2 * i : 2 * i + 2]
            for heads, scratch, signs in _blocks(saved_p):
                q, k, v, p = query[i, heads], key[i, heads, words], value[i, heads, words], saved_p[heads]
                of_c = of_context[i, heads]
                _drop(p, signs.copy_(bits[heads]), ctx.dropped, out=scratch)
                _multiply(scratch.transpose(1, 2), of_c, ctx.rescale, out=of_value[i, heads, words])
                _multiply(of_c, v.transpose(1, 2), ctx.rescale, out=scratch)
                _drop(scratch, signs, ctx.dropped, out=scratch)
                torch._softmax_backward_data(scratch, p, -1, p.dtype, grad_input=scratch)
                _multiply(scratch, k, ctx.scale, out=of_query[i, heads])
                _multiply(scratch.transpose(1, 2), q, ctx.scale, out=of_key[i, heads, words])
        return of_query, of_key, of_value, None, None, None


def _blocks(probabilities: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Divide an input's probabilities, [H, Q, n], into blocks of heads.

    Each comes with two scratch tensors of its shape: one of the same dtype, one of integers of its size.
    """
    if probabilities.numel() == 0:
        return
    size = probabilities.element_size()
    heads = max(1, BLOCK_BYTES // (probabilities[0].numel() * size))
    scratch = torch.empty_like(probabilities[:heads])
    signs = torch.empty_like(scratch, dtype=INTEGERS[size])
    for first in range(0, len(probabilities), heads):
        last = min(first + heads, len(probabilities))
        yield slice(first, last), scratch[: last - first], signs[: last - first]


def _multiply(left: Tensor, right: Tensor, factor: float, out: Tensor) -> None:
    torch.baddbmm(out, left, right, beta=0, alpha=factor, out=out)


def _random_bytes(shape: Sequence[int]) -> Tensor:
    """Draw from -128 to 127, eight numbers at a time."""
    count = math.prod(shape)
    words = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.int8)[:count].view(shape)


def _drop(values: Tensor, signed_bytes: Tensor, dropped: int, out: Tensor) -> None:
    """Set values to 0 where their random number is among the ``dropped`` lowest.

    The numbers are integers of the size of a value, since one pass then does it.
    """
    integers = signed_bytes.dtype
    torch.ops.aten.threshold_backward.grad_input(
        values.view(integers), signed_bytes, dropped - LEVELS // 2 - 1, grad_input=out.view(integers)
    )
