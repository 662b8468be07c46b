"""A host model and its PoWER-BERT with the same weights; the models that `conf/shape` names."""

import copy
import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from powerbert.base.checks import check_choice
from powerbert.base.errors import ConfigError, ModelError
from powerbert.elimination import retained_by_encoder
from powerbert.export.graph import task_kind
from powerbert.export.host import host_config
from powerbert.models import as_power_model, load_host_model, load_model, longest_input, num_encoders
from powerbert.models.backbone import BACKBONES, TASKS, find_backbone
from powerbert.models.configuration import POWER_FIELDS
from powerbert.store.artifacts import MANIFEST, Artifact

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """A named retention configuration, or the shares of an artifact.

    Attributes:
        name: Its name in tables.
        configuration: Word-vectors that each encoder retains; None if all encoders retain all.
        length: Word pieces of the inputs it was found for; None if any length suits.
        shares: Share of an input that each encoder retains instead.
    """

    name: str
    configuration: tuple[int, ...] | None
    length: int | None = None
    shares: tuple[float, ...] | None = None

    @property
    def encoders(self) -> int | None:
        """Number of encoders it is for; None if any number suits."""
        return None if self.configuration is None else len(self.configuration)

    def at(self, length: int) -> list[int] | None:
        """Return what the encoders retain of a padded input of some length; None for all."""
        if self.shares is not None:
            return retained_by_encoder({"retention_shares": self.shares}, len(self.shares), length)
        return None if self.configuration is None else [min(entry, length) for entry in self.configuration]


class Pair:
    """A host model and its PoWER-BERT, built on first use; all share one set of weights.

    A PoWER-BERT with pruned heads cannot share weights with its host and has weights of its own.
    """

    def __init__(
        self,
        name: str,
        host: PreTrainedModel,
        own: Retention | None = None,
        power_fields: Mapping[str, Any] | None = None,
        power_weights: Mapping[str, Tensor] | None = None,
    ):
        """Keep the weights of a Hugging Face model.

        Args:
            name: Name of the model in tables.
            host: The model.
            own: Retention configuration of an artifact; None for a shape.
            power_fields: Elimination fields of PoWER-BERT besides the retention configuration.
            power_weights: Weights of PoWER-BERT if they differ from the host's.
        """
        self.cls_alone = False  # whether the last encoder of all models computes [CLS] alone
        self.name, self.task, self.own, self.config = name, task_kind(host), own, host.config
        self.encoders = num_encoders(host.config)
        self.longest = longest_input(host.config)  # in word pieces
        self._weights = host.state_dict()
        self.weight_bytes = 4 * sum(weight.numel() for weight in self._weights.values())
        self._power_weights = power_weights or self._weights
        self._power_fields = dict(power_fields or {})
        self._made: dict[Hashable, PreTrainedModel] = {}

    def host(self, attention: str = "sdpa") -> PreTrainedModel:
        """Return the host in evaluation mode, with one of transformers' attention implementations."""
        if attention not in self._made:
            if self.cls_alone and attention != "sdpa":
                raise ConfigError(f"with cls_alone=true no model runs with {attention} attention")
            config = copy.deepcopy(self.config)
            made = self._make(config, self._weights, attn_implementation=attention)
            self._made[attention] = as_power_model(made, cls_alone=True) if self.cls_alone else made
        return self._made[attention]

    def power(self, retention: Retention) -> PreTrainedModel:
        """Return PoWER-BERT in evaluation mode."""
        if retention not in self._made:
            if retention.shares is not None:
                fields: dict[str, Any] = {"retention_shares": list(retention.shares)}
            else:
                counts = retention.configuration or [self.longest] * self.encoders
                fields = {"retention_configuration": list(counts)}
            self._made[retention] = self._make_power(**fields)
        return self._made[retention]

    def plain(self) -> PreTrainedModel:
        """Return a copy of the host for training."""
        return copy.deepcopy(self.host())

    def soft(self, length: int) -> PreTrainedModel:
        """Return a copy of the configuration search's model for training, for inputs of up to `length`."""
        return copy.deepcopy(self._make_power(soft_extract_length=length))

    def _make_power(self, **fields: Any) -> PreTrainedModel:
        shared = {key: value for key, value in self.config.to_dict().items() if key != "model_type"}
        config_class = BACKBONES[self.config.model_type].config
        alone = {"cls_alone": True} if self.cls_alone else {}
        config = config_class.from_dict({**shared, **self._power_fields, **alone, **fields})
        return self._make(config, self._power_weights, strict="soft_extract_length" not in fields)

    @torch.inference_mode(False)  # a model built in inference mode would work in no other mode later
    def _make(
        self, config: PreTrainedConfig, weights: Mapping[str, Tensor], strict: bool = True, **settings: Any
    ) -> PreTrainedModel:
        model = TASKS[self.task].from_config(config, dtype=torch.float32, **settings)
        model.load_state_dict(weights, strict=strict, assign=True)
        return model.eval()


def from_shape(name: str, model_type: str, seed: int, **fields: Any) -> Pair:
    """Build a pair with random weights of a seed; the global random state is left unchanged.

    `model_type` is transformers' name of the host's architecture, `fields` are those of its config. A model
    type without a backbone is a ConfigError.
    """
    if find_backbone(model_type) is None:
        check_choice("shape.model_type", model_type, BACKBONES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        host = AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[model_type](**fields))
    return Pair(name, host)


def from_artifact(folder: Path) -> Pair:
    """Load an artifact, or any Hugging Face classifier of a supported model type.

    If the model has pruned heads, its host has all heads and random weights. A folder without a model is a
    ModelError.
    """
    model = load_model(folder)
    manifest = Artifact.load(folder).manifest if (folder / MANIFEST).is_file() else {}
    name, task, length = folder.resolve().name, task_kind(model), manifest.get("max_length")
    fields = {field: getattr(model.config, field, None) for field in POWER_FIELDS}
    configuration, heads = fields["retention_configuration"], fields["encoder_heads"]
    if fields["retention_thresholds"] is not None:
        raise ModelError(f"{folder}: a model with retention_thresholds (method=ltp) cannot be benchmarked")
    shares, kept = fields["retention_shares"], {}
    own = Retention("full", None, length)
    if configuration is not None or shares is not None:
        counts = None if configuration is None else tuple(configuration)
        own = Retention("artifact", counts, length, None if shares is None else tuple(shares))
        starts = ("significance", "selection", "cls_alone", "active_encoders")
        choosing = (field for field in POWER_FIELDS if field.startswith(starts))
        kept = {field: fields[field] for field in choosing if fields[field] is not None}
    if heads is None:
        return Pair(name, load_host_model(folder, task), own, kept)
    log.info("%s has pruned heads: its host is timed with all heads and random weights", folder)
    host = TASKS[task].from_config(host_config(model))
    return Pair(name, host, own, kept | {"encoder_heads": heads}, model.state_dict())
