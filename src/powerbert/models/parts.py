"""A model taken apart, host or power: the steps from word pieces to logits, for analyses between encoders.

    hidden = embed(model, input_ids=input_ids)
    for host in host_encoders(model):
        hidden = encode(host, hidden, mask)
    logits = classify(model, hidden, mask)

is the host model on a padded batch, whichever side the padding is on.
"""

from __future__ import annotations

from torch import Tensor
from transformers import PreTrainedModel

from powerbert.elimination import cls_position, extract_rows
from powerbert.models.auto import power_class
from powerbert.models.encoder import HostEncoder


def embed(model: PreTrainedModel, **inputs: Tensor) -> Tensor:
    """The words of a batch as its first encoder takes them.

    Args:
        model: Of a supported backbone: a base model or a model for a task.
        **inputs: ``input_ids`` and what else the model takes for each word, but no mask, [B, N].

    Returns:
        Word-vectors, [B, N, D].
    """
    base = model.base_model
    return power_class(base).embed(base, **inputs)


def host_encoders(model: PreTrainedModel) -> list[HostEncoder]:
    """The encoders of a model in the order in which they run.

    Args:
        model: Of a supported backbone: a base model or a model for a task.
    """
    base = model.base_model
    return power_class(base).hosts(base)


def unique_encoders(model: PreTrainedModel) -> list[HostEncoder]:
    """The encoders that have weights of their own: one that runs several times comes once.

    Args:
        model: Of a supported backbone: a base model or a model for a task.
    """
    return list({id(encoder.query): encoder for encoder in host_encoders(model)}.values())


def classify(model: PreTrainedModel, hidden: Tensor, mask: Tensor) -> Tensor:
    """Logits from what leaves the last encoder.

    Args:
        model: A model of a supported backbone for a task.
        hidden: Word-vectors, [B, N, D].
        mask: True where a word is real, [B, N]; the first of them is [CLS].

    Returns:
        Logits, [B, outputs]; one output for regression, and for multiple choice, each of whose choices is
        an input here.
    """
    return power_class(model).classify(model, extract_rows(hidden, cls_position(mask)))
