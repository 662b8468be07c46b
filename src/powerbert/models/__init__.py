"""Host models with word-vector elimination: configs, modeling, loading, checkpoints."""

from powerbert.models.bert import (
    PowerBertForMultipleChoice,
    PowerBertForSequenceClassification,
    PowerBertModel,
)
from powerbert.models.configuration import EliminationFields, PowerBertConfig
from powerbert.models.loading import load_host_model, load_model, load_power_model
from powerbert.models.modeling import PowerModelOutput, Retained
from powerbert.models.quiet import quiet_transformers
from powerbert.models.tokenizer import load_tokenizer

__all__ = [
    "EliminationFields",
    "PowerBertConfig",
    "PowerBertForMultipleChoice",
    "PowerBertForSequenceClassification",
    "PowerBertModel",
    "PowerModelOutput",
    "Retained",
    "load_host_model",
    "load_model",
    "load_power_model",
    "load_tokenizer",
    "quiet_transformers",
]
