"""A classifier taken apart, to interfere between its encoders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import BertForMultipleChoice, BertForSequenceClassification, PreTrainedModel

from powerbert.elimination import cls_position, extract_rows
from powerbert.errors import ModelError
from powerbert.models.bert import bert_encoder
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
        model: BERT for sequence classification, regression or multiple choice.

    Raises:
        ModelError: if it is another model.
    """
    if not isinstance(model, BertForSequenceClassification | BertForMultipleChoice):
        raise ModelError(
            f"{type(model).__name__}: this analysis runs encoders one by one, which it can do with BERT only"
        )
    bert: Any = model.bert

    def classify(hidden: Tensor, mask: Tensor) -> Tensor:
        return model.classifier(bert.pooler(extract_rows(hidden, cls_position(mask))))

    return Parts(bert.embeddings, [bert_encoder(layer) for layer in bert.encoder.layer], classify)
