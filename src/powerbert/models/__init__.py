"""Host models with word-vector elimination: configs, modeling, loading, checkpoints."""

from powerbert.models import backbones  # noqa: F401  registers every backbone in that folder
from powerbert.models.backbone import (
    BACKBONES,
    Backbone,
    able_encoders,
    classify,
    embed,
    host_encoders,
    longest_input,
    num_encoders,
    register_backbone,
    unique_encoders,
)
from powerbert.models.configuration import EXCLUSIVE, POWER_FIELDS, PowerFields, retention_of
from powerbert.models.loading import (
    load_config,
    load_host_model,
    load_model,
    load_power_model,
    load_tokenizer,
    quiet_transformers,
)
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.packed import can_pack_linear_layers, pack_linear_layers
from powerbert.models.smaller import as_power_model, prune_heads, take_encoders
from powerbert.models.task import PowerTaskMixin

__all__ = [
    "BACKBONES",
    "EXCLUSIVE",
    "POWER_FIELDS",
    "Backbone",
    "PowerFields",
    "PowerModelMixin",
    "PowerTaskMixin",
    "able_encoders",
    "as_power_model",
    "can_pack_linear_layers",
    "classify",
    "embed",
    "host_encoders",
    "load_config",
    "load_host_model",
    "load_model",
    "load_power_model",
    "load_tokenizer",
    "longest_input",
    "num_encoders",
    "pack_linear_layers",
    "prune_heads",
    "quiet_transformers",
    "register_backbone",
    "retention_of",
    "take_encoders",
    "unique_encoders",
]
