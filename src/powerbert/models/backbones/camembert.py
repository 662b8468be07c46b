"""PoWER-CamemBERT: RoBERTa's architecture under a name of its own."""

from functools import partial
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import (
    CamembertConfig,
    CamembertForMultipleChoice,
    CamembertForSequenceClassification,
    CamembertModel,
)

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.backbones.bert import bert_encoder
from powerbert.models.configuration import PositionsAfterPadding, PowerFields
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


@strict
class PowerCamembertConfig(PositionsAfterPadding, PowerFields, CamembertConfig):
    """``CamembertConfig`` with the elimination fields."""

    model_type = "power_camembert"


class PowerCamembertModel(PowerModelMixin, CamembertModel):
    """``CamembertModel`` with elimination."""

    config_class = PowerCamembertConfig
    host_encoder = staticmethod(bert_encoder)


class PowerCamembertForSequenceClassification(PowerTaskMixin, CamembertForSequenceClassification):
    """``CamembertForSequenceClassification`` with elimination."""

    config_class = PowerCamembertConfig
    base_class = staticmethod(partial(PowerCamembertModel, add_pooling_layer=False))
    reads_first_row = True


class PowerCamembertForMultipleChoice(PowerTaskMixin, CamembertForMultipleChoice):
    """``CamembertForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerCamembertConfig
    base_class = PowerCamembertModel

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(self.roberta.pooler(cls)))


register_backbone(
    Backbone(
        config=PowerCamembertConfig,
        model=PowerCamembertModel,
        tasks={
            "sequence_classification": PowerCamembertForSequenceClassification,
            "multiple_choice": PowerCamembertForMultipleChoice,
        },
        tiny={"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    )
)
