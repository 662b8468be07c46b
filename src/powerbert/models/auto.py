"""The backbones, and their registration with transformers' Auto classes and pipelines."""

from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import (
    CONFIG_MAPPING,
    TOKENIZER_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
)

from powerbert.models import albert, bert, distilbert, electra, roberta

TASKS = {
    "sequence_classification": AutoModelForSequenceClassification,
    "multiple_choice": AutoModelForMultipleChoice,
}
"""The Auto class of each kind of task."""

POWER_PREFIX = "power_"
"""A power model's ``model_type`` is its host's with this before it."""


@dataclass(frozen=True)
class Backbone:
    """What eliminates word-vectors from one kind of host model.

    Attributes:
        config: The host's config with the elimination fields.
        model: The host's base model with elimination.
        tasks: Its models for tasks, by key of ``TASKS``.
    """

    config: type[PreTrainedConfig]
    model: type[Any]
    tasks: dict[str, type[Any]]

    @property
    def host_type(self) -> str:
        """The host's ``model_type``."""
        return self.config.model_type.removeprefix(POWER_PREFIX)


BACKBONES = {
    backbone.host_type: backbone
    for backbone in (
        Backbone(
            bert.PowerBertConfig,
            bert.PowerBertModel,
            {
                "sequence_classification": bert.PowerBertForSequenceClassification,
                "multiple_choice": bert.PowerBertForMultipleChoice,
            },
        ),
        Backbone(
            albert.PowerAlbertConfig,
            albert.PowerAlbertModel,
            {
                "sequence_classification": albert.PowerAlbertForSequenceClassification,
                "multiple_choice": albert.PowerAlbertForMultipleChoice,
            },
        ),
        Backbone(
            roberta.PowerRobertaConfig,
            roberta.PowerRobertaModel,
            {"sequence_classification": roberta.PowerRobertaForSequenceClassification},
        ),
        Backbone(
            distilbert.PowerDistilBertConfig,
            distilbert.PowerDistilBertModel,
            {"sequence_classification": distilbert.PowerDistilBertForSequenceClassification},
        ),
        Backbone(
            electra.PowerElectraConfig,
            electra.PowerElectraModel,
            {"sequence_classification": electra.PowerElectraForSequenceClassification},
        ),
    )
}
"""The backbones by the ``model_type`` of their host."""


def register(backbone: Backbone) -> None:
    """Make a backbone known to the Auto classes, with the tokenizer of its host."""
    host_tokenizer = TOKENIZER_MAPPING[CONFIG_MAPPING[backbone.host_type]]
    AutoConfig.register(backbone.config.model_type, backbone.config, exist_ok=True)
    AutoTokenizer.register(backbone.config, host_tokenizer, exist_ok=True)
    AutoModel.register(backbone.config, backbone.model, exist_ok=True)
    for task, model in backbone.tasks.items():
        TASKS[task].register(backbone.config, model, exist_ok=True)


for known in BACKBONES.values():
    register(known)


def power_class(model: nn.Module) -> Any:
    """The class that eliminates word-vectors from such a model; its own for a power model.

    Args:
        model: A base model or a model for a task, host or power.

    Raises:
        TypeError: If no backbone has such a class.
    """
    for backbone in BACKBONES.values():
        for candidate in (backbone.model, *backbone.tasks.values()):
            if issubclass(candidate, type(model)):
                return candidate
    raise TypeError(f"{type(model).__name__} is no model that word-vectors can be eliminated from")
