"""Registration of the backbones, so that transformers' Auto classes and pipelines know them."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertTokenizer,
    PreTrainedConfig,
)

from powerbert.models.bert import (
    PowerBertForMultipleChoice,
    PowerBertForSequenceClassification,
    PowerBertModel,
)
from powerbert.models.configuration import PowerBertConfig

TASKS = {
    "sequence_classification": AutoModelForSequenceClassification,
    "multiple_choice": AutoModelForMultipleChoice,
}
"""The Auto class of each kind of task."""

POWER_PREFIX = "power_"
"""A power model's ``model_type`` is its host's with this before it."""

POWER_CONFIGS: dict[str, type[PreTrainedConfig]] = {"bert": PowerBertConfig}
"""The config with elimination fields by the ``model_type`` of its host."""

AutoConfig.register("power_bert", PowerBertConfig, exist_ok=True)
AutoTokenizer.register(PowerBertConfig, BertTokenizer, exist_ok=True)
AutoModel.register(PowerBertConfig, PowerBertModel, exist_ok=True)
AutoModelForSequenceClassification.register(
    PowerBertConfig, PowerBertForSequenceClassification, exist_ok=True
)
AutoModelForMultipleChoice.register(PowerBertConfig, PowerBertForMultipleChoice, exist_ok=True)
