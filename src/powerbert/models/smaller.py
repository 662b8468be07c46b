"""Smaller models made of a larger one: fewer encoders, or fewer heads in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from powerbert.base.errors import ModelError
from powerbert.models.auto import power_class
from powerbert.models.heads import leave_heads
from powerbert.models.parts import host_encoders, unique_encoders


def take_encoders(model: PreTrainedModel, encoders: Sequence[int]) -> PreTrainedModel:
    """Leave a model some of its encoders, in place; everything else stays.

    Args:
        model: A host for a task, or one that has lost heads.
        encoders: Which stay, increasing, from 0. Where encoders share their weights (ALBERT) only their
            number counts.

    Returns:
        The model.

    Raises:
        ModelError: For an ALBERT whose encoders form several groups.
    """
    config, base = model.config, model.base_model
    stack: Any = base.transformer if hasattr(base, "transformer") else base.encoder
    if hasattr(stack, "layer"):
        stack.layer = nn.ModuleList(stack.layer[index] for index in encoders)
    elif config.num_hidden_groups > 1 or config.inner_group_num > 1:
        raise ModelError(
            f"encoders cannot be taken out of this {config.model_type} model: its encoders form "
            f"{config.num_hidden_groups} groups of {config.inner_group_num}; one group of one is supported"
        )
    if getattr(config, "encoder_heads", None) is not None:
        config.encoder_heads = [config.encoder_heads[index] for index in encoders]
    config.num_hidden_layers = len(encoders)
    return model


def prune_heads(model: PreTrainedModel, heads: Sequence[Sequence[int]]) -> PreTrainedModel:
    """Make a model without some of a model's attention heads.

    Args:
        model: A host for a task, or one that has lost heads already.
        heads: For each encoder with weights of its own (``unique_encoders``) the heads that stay, increasing,
            from 0.

    Returns:
        A power model that eliminates no word-vectors; its config's ``encoder_heads`` tells how many heads are
        left, so that it is saved and loaded as any other.
    """
    places = {id(encoder.query): place for place, encoder in enumerate(unique_encoders(model))}
    staying = [heads[places[id(encoder.query)]] for encoder in host_encoders(model)]
    pruned_class = power_class(model)
    fields = model.config.to_dict() | {"encoder_heads": None}
    fields.pop("model_type")
    pruned = pruned_class(pruned_class.config_class(**fields))
    before = getattr(model.config, "encoder_heads", None)
    if before is not None:
        leave_heads(host_encoders(pruned), [range(left) for left in before])
    pruned.load_state_dict(model.state_dict())
    leave_heads(host_encoders(pruned), staying)
    pruned.config.encoder_heads = [len(left) for left in staying]
    return pruned.train(model.training)
