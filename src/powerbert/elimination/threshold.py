"""Elimination by a threshold of each encoder, as in Learned Token Pruning (Kim et al. 2022).

An encoder removes the words that receive less attention than its threshold, so the number of word-vectors
that it retains depends on the input. The thresholds are learnt with a soft mask in place of the removal.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from powerbert.base.checks import check_number
from powerbert.base.errors import ConfigError
from powerbert.elimination.extract import cls_position, retained_positions
from powerbert.elimination.significance import attention_probabilities, blockwise_significance


def validate_retention_thresholds(thresholds: Sequence[float], num_encoders: int) -> None:
    """Raise ConfigError unless there is one finite number of at least 0 for each encoder."""
    if len(thresholds) != num_encoders:
        raise ConfigError(
            f"retention_thresholds has {len(thresholds)} entries, but the model has {num_encoders} encoders"
        )
    for encoder, threshold in enumerate(thresholds, start=1):
        check_number(f"retention_thresholds, encoder {encoder}", threshold)


def mean_attention(
    query: Tensor, key: Tensor, mask: Tensor | None, bias: Tensor | None, words: Tensor
) -> Tensor:
    """Average the attention that each word receives over heads and words, [B, N], without gradient.

    Queries and keys are [B, H, N, E]; the bias of the scores is as in ``attention_probabilities``. ``words``
    is the number of real words of each whole input, [B]: those that were removed before pay no attention, but
    count.
    """
    return blockwise_significance(query, key, mask, bias) / (query.shape[1] * words.clamp_min(1).unsqueeze(1))


def positions_above(scores: Tensor, mask: Tensor | None, threshold: float) -> tuple[Tensor | None, Tensor]:
    """Choose the real words whose score, [B, N], reaches the threshold, and [CLS].

    This waits for the device: the largest number of words that an input of the batch retains is K.

    Returns:
        Their positions, increasing, [B, K], None if K is N; and their mask, [B, K], in which what an input
        retains beyond its own number is padding.
    """
    words = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    above = (words & (scores >= threshold)).scatter(1, cls_position(words), True)
    own = above.sum(dim=1)
    k = int(own.max())
    if k == scores.shape[1]:
        return None, above & words
    positions, retained = retained_positions(scores, words, k, own)
    assert retained is not None
    return positions, retained


class SoftThreshold(nn.Module):
    """The soft mask of a search, ``sigmoid((score - theta_j) / T)`` in encoder j, and 1 for [CLS].

    Attributes:
        thresholds: ``theta``, [L], initialised at 0.
        temperature: ``T``; near 0 the mask is 0 below the threshold and 1 above it.
    """

    def __init__(self, num_encoders: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.thresholds = nn.Parameter(torch.zeros(num_encoders))

    def forward(self, query: Tensor, key: Tensor, mask: Tensor, bias: Tensor | None, encoder: int) -> Tensor:
        """Compute an encoder's mask, [B, N], 0 for padding; the gradient also passes through the scores.

        The score is that of ``mean_attention``. Queries and keys are [B, H, N, E]; encoders count from 0.
        """
        attention = attention_probabilities(query, key, mask, bias).mean(dim=1)
        counted = mask.to(attention.dtype)
        received = (attention * counted.unsqueeze(2)).sum(dim=1)
        scores = received / counted.sum(dim=1, keepdim=True).clamp_min(1)
        threshold = self.thresholds[encoder].to(scores.dtype)
        extent = ((scores - threshold) / self.temperature).sigmoid()
        return extent.scatter(1, cls_position(mask), 1.0) * counted
