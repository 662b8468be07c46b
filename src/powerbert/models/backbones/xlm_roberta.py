"""PoWER-XLM-RoBERTa: RoBERTa's architecture under a name of its own."""

from functools import partial
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import (
    XLMRobertaConfig,
    XLMRobertaForMultipleChoice,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.backbones.bert import bert_encoder
from powerbert.models.configuration import PositionsAfterPadding, PowerFields
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


@strict
class PowerXLMRobertaConfig(PositionsAfterPadding, PowerFields, XLMRobertaConfig):
    """``XLMRobertaConfig`` with the elimination fields."""

    model_type = "power_xlm-roberta"


class PowerXLMRobertaModel(PowerModelMixin, XLMRobertaModel):
    """``XLMRobertaModel`` with elimination."""

    config_class = PowerXLMRobertaConfig
    host_encoder = staticmethod(bert_encoder)


class PowerXLMRobertaForSequenceClassification(PowerTaskMixin, XLMRobertaForSequenceClassification):
    """``XLMRobertaForSequenceClassification`` with elimination."""

    config_class = PowerXLMRobertaConfig
    base_class = staticmethod(partial(PowerXLMRobertaModel, add_pooling_layer=False))
    reads_first_row = True


class PowerXLMRobertaForMultipleChoice(PowerTaskMixin, XLMRobertaForMultipleChoice):
    """``XLMRobertaForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerXLMRobertaConfig
    base_class = PowerXLMRobertaModel

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(self.roberta.pooler(cls)))


register_backbone(
    Backbone(
        config=PowerXLMRobertaConfig,
        model=PowerXLMRobertaModel,
        tasks={
            "sequence_classification": PowerXLMRobertaForSequenceClassification,
            "multiple_choice": PowerXLMRobertaForMultipleChoice,
        },
        tiny={"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    )
)
