"""A classifier taken apart, to interfere between its encoders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from transformers import PreTrainedModel

from powerbert.models import classify, embed, host_encoders
from powerbert.models.encoder import HostEncoder


@dataclass(frozen=True)
class Parts:
    """The steps from word pieces to logits.

    Attributes:
        embed: from `input_ids` and so on, without the mask, to the embeddings, [S, N, D].
        hosts: the encoders in the order in which they run.
        classify: from the last word-vectors, [S, N, D], and their mask, [S, N], to logits: [S, classes], or
            [S, 1] for multiple choice and regression.
    """

    embed: Callable[..., Tensor]
    hosts: Sequence[HostEncoder]
    classify: Callable[[Tensor, Tensor], Tensor]


def take_apart(model: PreTrainedModel) -> Parts:
    """The parts of a model that eliminates nothing, for evaluation.

    Args:
        model: any supported host for sequence classification, regression or multiple choice.
    """
    return Parts(partial(embed, model), host_encoders(model), partial(classify, model))
