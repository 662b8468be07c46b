"""Host models with word-vector elimination: configs, modeling, loading, checkpoints."""

from powerbert.models.albert import (
    PowerAlbertConfig,
    PowerAlbertForMultipleChoice,
    PowerAlbertForSequenceClassification,
    PowerAlbertModel,
)
from powerbert.models.bert import (
    PowerBertConfig,
    PowerBertForMultipleChoice,
    PowerBertForSequenceClassification,
    PowerBertModel,
)
from powerbert.models.configuration import PowerFields, longest_input, num_encoders
from powerbert.models.distilbert import (
    PowerDistilBertConfig,
    PowerDistilBertForSequenceClassification,
    PowerDistilBertModel,
)
from powerbert.models.electra import (
    PowerElectraConfig,
    PowerElectraForSequenceClassification,
    PowerElectraModel,
)
from powerbert.models.loading import load_config, load_host_model, load_model, load_power_model
from powerbert.models.modeling import PowerModelOutput, Retained
from powerbert.models.packed import can_pack_linear_layers, pack_linear_layers
from powerbert.models.parts import classify, embed, host_encoders, unique_encoders
from powerbert.models.quiet import quiet_transformers
from powerbert.models.roberta import (
    PowerRobertaConfig,
    PowerRobertaForSequenceClassification,
    PowerRobertaModel,
)
from powerbert.models.smaller import prune_heads, take_encoders
from powerbert.models.tokenizer import load_tokenizer

__all__ = [
    "PowerAlbertConfig",
    "PowerAlbertForMultipleChoice",
    "PowerAlbertForSequenceClassification",
    "PowerAlbertModel",
    "PowerBertConfig",
    "PowerBertForMultipleChoice",
    "PowerBertForSequenceClassification",
    "PowerBertModel",
    "PowerDistilBertConfig",
    "PowerDistilBertForSequenceClassification",
    "PowerDistilBertModel",
    "PowerElectraConfig",
    "PowerElectraForSequenceClassification",
    "PowerElectraModel",
    "PowerFields",
    "PowerModelOutput",
    "PowerRobertaConfig",
    "PowerRobertaForSequenceClassification",
    "PowerRobertaModel",
    "Retained",
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
    "take_encoders",
    "unique_encoders",
]
