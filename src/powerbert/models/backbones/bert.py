"""PoWER-BERT: BERT with word-vector elimination. Parameters and state-dict keys are BERT's own.

Where it eliminates, it pools [CLS], the first real word of an input; BERT pools position 0, which is padding
in a left-padded batch.
"""

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import BertConfig, BertForMultipleChoice, BertForSequenceClassification, BertModel

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


def bert_encoder(layer: Any) -> HostEncoder:
    """Describe a ``BertLayer``, or a layer of another host that names its parts as BERT does."""
    attention = layer.attention.self
    return HostEncoder(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        output_projection=layer.attention.output.dense,
        head_size=attention.attention_head_size,
        attention_dropout=attention.dropout,
        attention_output=layer.attention.output,
        feed_forward=layer.feed_forward_chunk,
    )


@strict
class PowerBertConfig(PowerFields, BertConfig):
    """``BertConfig`` with the elimination fields."""

    model_type = "power_bert"


class PowerBertModel(PowerModelMixin, BertModel):
    """``BertModel`` with elimination."""

    config_class = PowerBertConfig
    host_encoder = staticmethod(bert_encoder)


class PowerBertForSequenceClassification(PowerTaskMixin, BertForSequenceClassification):
    """``BertForSequenceClassification`` with elimination."""

    config_class = PowerBertConfig
    base_class = PowerBertModel

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(self.bert.pooler(cls)))


class PowerBertForMultipleChoice(PowerTaskMixin, BertForMultipleChoice):
    """``BertForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerBertConfig
    base_class = PowerBertModel
    classify = PowerBertForSequenceClassification.classify


register_backbone(
    Backbone(
        config=PowerBertConfig,
        model=PowerBertModel,
        tasks={
            "sequence_classification": PowerBertForSequenceClassification,
            "multiple_choice": PowerBertForMultipleChoice,
        },
    )
)
