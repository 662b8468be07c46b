"""The registry of backbones: which classes eliminate word-vectors from which host model.

A host and its power model share their modules, so either can be taken apart:

    hidden = embed(model, input_ids=input_ids)
    for host in host_encoders(model):
        hidden = encode(host, hidden, mask)
    logits = classify(model, hidden, mask)

equals the model without elimination, whichever side a batch is padded on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    TOKENIZER_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from powerbert.base.errors import ModelError
from powerbert.elimination.extract import cls_position, extract_rows
from powerbert.models.encoder import HostEncoder

TASKS = {
    "sequence_classification": AutoModelForSequenceClassification,
    "multiple_choice": AutoModelForMultipleChoice,
}
"""The Auto class of each kind of task."""

ALIKE = dict.fromkeys(("reranking", "multi_label_classification"), "sequence_classification")
"""Other kinds of task -> the key of ``TASKS`` whose classes they use."""

POWER_PREFIX = "power_"
"""A power model's ``model_type`` is this and its host's."""

ENTRY_POINTS = "powerbert.backbones"
"""The entry-point group in which other packages name the modules of their backbones, by host model type."""


@dataclass(frozen=True)
class Backbone:
    """The classes for one kind of host model.

    Attributes:
        config: The host's config class with ``PowerFields``.
        model: The host's base model with ``PowerModelMixin``.
        tasks: The host's models with ``PowerTaskMixin``, by key of ``TASKS``.
        tiny: Fields of the tiny config of tests and dry runs that differ from ``tiny.SIZES``.
    """

    config: type[Any]
    model: type[Any]
    tasks: Mapping[str, type[Any]]
    tiny: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host_type(self) -> str:
        """The host's ``model_type``."""
        return self.config.model_type.removeprefix(POWER_PREFIX)


BACKBONES: dict[str, Backbone] = {}
"""The registered backbones by the ``model_type`` of their host."""


def register_backbone(backbone: Backbone) -> None:
    """Make a backbone known here and to transformers' Auto classes, with the tokenizer of its host."""
    BACKBONES[backbone.host_type] = backbone
    host_tokenizer = TOKENIZER_MAPPING[CONFIG_MAPPING[backbone.host_type]]
    AutoConfig.register(backbone.config.model_type, backbone.config, exist_ok=True)
    AutoTokenizer.register(backbone.config, host_tokenizer, exist_ok=True)
    AutoModel.register(backbone.config, backbone.model, exist_ok=True)
    for task, model in backbone.tasks.items():
        TASKS[task].register(backbone.config, model, exist_ok=True)


def find_backbone(model_type: str) -> Backbone | None:
    """Return the backbone of a host's or a power model's type, None if neither here nor an entry point.

    Raises:
        ModelError: If the module that an entry point names cannot be imported.
    """
    host_type = model_type.removeprefix(POWER_PREFIX)
    if host_type not in BACKBONES:
        for entry in entry_points(group=ENTRY_POINTS, name=host_type):
            try:
                entry.load()
            except Exception as error:  # whatever the package raises
                raise ModelError(
                    f"entry point {ENTRY_POINTS}: '{entry.name}' cannot be imported from "
                    f"{entry.value} ({error})"
                ) from error
    return BACKBONES.get(host_type)


def power_class(model: nn.Module) -> Any:
    """Return the class that eliminates word-vectors from such a model; of a power model its own.

    Raises:
        TypeError: If no backbone has such a class.
    """
    backbone = find_backbone(getattr(getattr(model, "config", None), "model_type", ""))
    for candidate in (backbone.model, *backbone.tasks.values()) if backbone else ():
        if issubclass(candidate, type(model)):
            return candidate
    raise TypeError(f"no registered backbone eliminates word-vectors from a {type(model).__name__}")


def num_encoders(config: PreTrainedConfig) -> int:
    """Return the number of encoders that run, L, of a host or power model."""
    return _power_config_class(config).num_encoders(config)


def able_encoders(config: PreTrainedConfig) -> list[int] | None:
    """Return the encoders of a host or power model that can eliminate, from 0; None for all."""
    return _power_config_class(config).able_encoders(config)


def longest_input(config: PreTrainedConfig) -> int:
    """Return the number of word pieces that a host or power model has positions for."""
    return _power_config_class(config).longest_input(config)


def _power_config_class(config: PreTrainedConfig) -> Any:
    backbone = find_backbone(config.model_type)
    if backbone is None:
        raise TypeError(f"no registered backbone has the model type '{config.model_type}'")
    return backbone.config


def embed(model: PreTrainedModel, **inputs: Tensor) -> Tensor:
    """Embed a batch for the first encoder, [B, N, D], from a model's inputs, [B, N], without the mask."""
    base = model.base_model
    return power_class(base).embed(base, **inputs)


def host_encoders(model: PreTrainedModel) -> list[HostEncoder]:
    """Return the encoders of a base model or a model for a task in the order in which they run."""
    base = model.base_model
    return power_class(base).describe(base)


def unique_encoders(model: PreTrainedModel) -> list[HostEncoder]:
    """Return the encoders with their own weights: one that runs several times comes once."""
    return list({encoder.query: encoder for encoder in host_encoders(model)}.values())


def classify(model: PreTrainedModel, hidden: Tensor, mask: Tensor) -> Tensor:
    """Compute logits, [B, outputs], from the output of the last encoder, [B, N, D], and its mask, [B, N].

    There is one output for regression, and for multiple choice, where each choice is an input.
    """
    return power_class(model).classify(model, extract_rows(hidden, cls_position(mask)))
