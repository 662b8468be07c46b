"""A host model and its PoWER-BERT with the same weights; the models that `conf/shape` names."""

import copy
import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.benchmark.retention import Retention
from powerbert.export.host import host_config
from powerbert.models import load_host_model, load_model, longest_input, num_encoders
from powerbert.models.backbone import BACKBONES, TASKS, find_backbone
from powerbert.models.configuration import POWER_FIELDS
from powerbert.store.artifacts import MANIFEST, Artifact

log = logging.getLogger(__name__)


class Pair:
    """A host model and its PoWER-BERT, made when first asked for; they share one set of weights.

    Only where heads have been removed from PoWER-BERT its host has weights of its own.

    Attributes:
        name: for people.
        task: a key of `TASKS`.
        own: what the artifact retains itself; None for a shape.
        config: the host's.
    """

    def __init__(
        self,
        name: str,
        host: PreTrainedModel,
        task: str = "sequence_classification",
        own: Retention | None = None,
        power_fields: Mapping[str, Any] | None = None,
        power_weights: Mapping[str, Tensor] | None = None,
    ):
        """Takes the model whose weights are shared.

        Args:
            name: for people.
            host: the Hugging Face model.
            task: a key of `TASKS`.
            own: what the artifact retains itself.
            power_fields: elimination fields other than the retention configuration.
            power_weights: of PoWER-BERT, where they are not the host's.
        """
        self.name = name
        self.task = task
        self.own = own
        self.config = host.config
        # Without the metadata in which torch would remember to assign where it is later asked to copy.
        self._weights = dict(host.state_dict())
        self._power_weights = dict(power_weights or self._weights)
        self._power_fields = dict(power_fields or {})
        self._made: dict[Hashable, PreTrainedModel] = {}

    @property
    def encoders(self) -> int:
        """L, the number of encoders."""
        return num_encoders(self.config)

    @property
    def longest(self) -> int:
        """Word pieces that the models have positions for."""
        return longest_input(self.config)

    @property
    def weight_bytes(self) -> int:
        """What the weights take in float32."""
        return 4 * sum(weight.numel() for weight in self._weights.values())

    def host(self, attention: str = "sdpa") -> PreTrainedModel:
        """The host, in evaluation mode.

        Args:
            attention: one of transformers' implementations of attention.
        """
        if attention not in self._made:
            config = copy.deepcopy(self.config)
            self._made[attention] = self._make(config, self._weights, attn_implementation=attention)
        return self._made[attention]

    def power(self, retention: Retention) -> PreTrainedModel:
        """PoWER-BERT, in evaluation mode.

        Args:
            retention: the word-vectors that it retains.
        """
        if retention not in self._made:
            configuration = list(retention.configuration or [self.longest] * self.encoders)
            fields = {**self._power_fields, "retention_configuration": configuration}
            self._made[retention] = self._make(self._power_config(**fields), self._power_weights)
        return self._made[retention]

    def plain(self) -> PreTrainedModel:
        """The host with weights of its own, to be trained."""
        config = copy.deepcopy(self.config)
        return self._make(config, self._weights, own_weights=True, attn_implementation="sdpa")

    def soft(self, length: int) -> PreTrainedModel:
        """The model of the configuration search with weights of its own, to be trained.

        Args:
            length: word pieces of its longest input, for each of which there is a retention parameter.
        """
        config = self._power_config(**self._power_fields, soft_extract_length=length)
        return self._make(config, self._power_weights, own_weights=True)

    def _power_config(self, **fields: Any) -> PreTrainedConfig:
        config_class = BACKBONES[self.config.model_type].config
        shared = {key: value for key, value in self.config.to_dict().items() if key != "model_type"}
        return config_class.from_dict({**shared, **fields})

    def _make(
        self,
        config: PreTrainedConfig,
        weights: Mapping[str, Tensor],
        own_weights: bool = False,
        **settings: Any,
    ) -> PreTrainedModel:
        model = TASKS[self.task].from_config(config, dtype=torch.float32, **settings)
        soft = getattr(config, "soft_extract_length", None) is not None
        model.load_state_dict(weights, strict=not soft, assign=not own_weights)
        return model.eval()


def from_shape(name: str, model_type: str, seed: int, **fields: Any) -> Pair:
    """A model of random weights.

    Args:
        name: of the shape.
        model_type: the host's.
        seed: of the weights; the same seed gives the same weights, and the random state is left alone.
        **fields: of the host's config.

    Raises:
        ConfigError: if there is no such backbone.
    """
    if find_backbone(model_type) is None:
        raise ConfigError(f"shape.model_type: '{model_type}' is unknown; choose of {', '.join(BACKBONES)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        host = AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[model_type](**fields))
    return Pair(name, host)


def from_artifact(folder: Path) -> Pair:
    """A trained model, its weights in the host and in PoWER-BERT; in the latter alone, if it has fewer heads.

    Args:
        folder: an artifact, or any Hugging Face classifier of a supported model type.

    Raises:
        ModelError: if the folder holds no such model.
    """
    model = load_model(folder)
    fields = {name: getattr(model.config, name, None) for name in POWER_FIELDS}
    task = next(name for name, auto in TASKS.items() if type(model).__name__.endswith(_suffix(auto)))
    manifest = Artifact.load(folder).manifest if (folder / MANIFEST).is_file() else {}
    configuration = fields["retention_configuration"]
    own = Retention(
        "full" if configuration is None else "artifact",
        None if configuration is None else tuple(configuration),
        manifest.get("max_length"),
    )
    kept = {} if configuration is None else {name: fields[name] for name in _HOW if fields[name] is not None}
    name = folder.resolve().name
    if fields["encoder_heads"] is None:
        return Pair(name, load_host_model(folder, task), task, own, kept)
    log.info("heads have been removed from %s: a host with all of them and random weights is timed", folder)
    kept["encoder_heads"] = fields["encoder_heads"]
    return Pair(name, TASKS[task].from_config(host_config(model)), task, own, kept, model.state_dict())


_HOW = tuple(name for name in POWER_FIELDS if name.startswith(("significance", "selection")))
"""The fields that say how word-vectors are chosen."""


def _suffix(auto_class: type) -> str:
    return auto_class.__name__.removeprefix("AutoModel")
