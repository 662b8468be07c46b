"""Smaller models made of a larger one: fewer encoders, fewer heads, fewer word-vectors."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from powerbert.base.errors import ModelError
from powerbert.models.backbone import host_encoders, power_class, unique_encoders
from powerbert.models.encoder import keep_heads


def take_encoders(model: PreTrainedModel, encoders: Sequence[int]) -> PreTrainedModel:
    """Keep some encoders of a host or pruned model for a task, increasing, from 0; in place.

    Where encoders share their weights (ALBERT) only their number counts.

    Raises:
        ModelError: If encoders share several sets of weights.
    """
    config, layers = model.config, power_class(model.base_model).host_layers(model.base_model)
    if isinstance(layers, nn.ModuleList):
        for index in sorted(set(range(len(layers))) - set(encoders), reverse=True):
            del layers[index]
    elif (shared := len(set(layers))) > 1:
        raise ModelError(
            f"encoders cannot be taken out of this {config.model_type} model: its {len(layers)} encoders "
            f"share {shared} sets of weights; only one shared set is supported"
        )
    for name in ("encoder_heads", "kept_heads", "layer_types"):
        if (of_encoders := getattr(config, name, None)) is not None:
            setattr(config, name, [of_encoders[index] for index in encoders])
    config.num_hidden_layers = len(encoders)
    return model


def prune_heads(model: PreTrainedModel, heads: Sequence[Sequence[int]]) -> PreTrainedModel:
    """Copy a host or pruned model for a task without some of its attention heads.

    The copy is a power model that eliminates no word-vectors. Its config's ``encoder_heads`` holds how many
    heads are left, so it is saved and loaded like any other.

    Args:
        model: Stays unchanged.
        heads: For each of its ``unique_encoders`` the heads to keep, increasing, from 0.
    """
    of_query = {encoder.query: kept for encoder, kept in zip(unique_encoders(model), heads, strict=True)}
    kept = [of_query[encoder.query] for encoder in host_encoders(model)]
    pruned = _untrained_power_model(model)
    pruned.load_state_dict(model.state_dict())
    keep_heads(host_encoders(pruned), kept)
    pruned.config.encoder_heads = [len(left) for left in kept]
    if any(encoder.relate for encoder in host_encoders(model)):
        before = getattr(model.config, "kept_heads", None) or [range(e.heads) for e in host_encoders(model)]
        pruned.config.kept_heads = [[old[i] for i in own] for old, own in zip(before, kept, strict=True)]
    return pruned.train(model.training)


def as_power_model(model: PreTrainedModel, **power_fields: Any) -> PreTrainedModel:
    """Return the power model of a host or power model for a task, with some elimination fields set.

    It shares the model's weights, and changes none. Retention parameters that the model lacks start at 1;
    those that it alone has are left out, and so are thresholds.

    Raises:
        ModelError: If any other weight is missing or left over.
    """
    power: Any = _untrained_power_model(model, **power_fields)
    differing = power.load_state_dict(model.state_dict(), assign=True, strict=False)
    keys = (*differing.missing_keys, *differing.unexpected_keys)
    if wrong := [key for key in keys if ".soft_extract." not in key and ".soft_threshold." not in key]:
        raise ModelError(f"these weights do not fit {type(power).__name__}: {', '.join(sorted(wrong)[:3])}")
    return power.train(model.training)


def _untrained_power_model(model: PreTrainedModel, **power_fields: Any) -> Any:
    """Create the power model of a host or power model with some elimination fields set."""
    power = power_class(model)
    fields = model.config.to_dict() | power_fields
    fields.pop("model_type")
    return power(power.config_class(**fields))
