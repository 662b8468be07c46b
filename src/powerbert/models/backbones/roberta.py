"""PoWER-RoBERTa: RoBERTa with word-vector elimination; its encoders are BERT's, its head is not."""

from functools import partial
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import (
    RobertaConfig,
    RobertaForMultipleChoice,
    RobertaForSequenceClassification,
    RobertaModel,
)

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.backbones.bert import bert_encoder
from powerbert.models.configuration import PositionsAfterPadding, PowerFields
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


@strict
class PowerRobertaConfig(PositionsAfterPadding, PowerFields, RobertaConfig):
    """``RobertaConfig`` with the elimination fields."""

    model_type = "power_roberta"


class PowerRobertaModel(PowerModelMixin, RobertaModel):
    """``RobertaModel`` with elimination."""

    config_class = PowerRobertaConfig
    host_encoder = staticmethod(bert_encoder)


class PowerRobertaForSequenceClassification(PowerTaskMixin, RobertaForSequenceClassification):
    """``RobertaForSequenceClassification`` with elimination."""

    config_class = PowerRobertaConfig
    base_class = staticmethod(partial(PowerRobertaModel, add_pooling_layer=False))
    reads_first_row = True


class PowerRobertaForMultipleChoice(PowerTaskMixin, RobertaForMultipleChoice):
    """``RobertaForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerRobertaConfig
    base_class = PowerRobertaModel

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(self.roberta.pooler(cls)))


register_backbone(
    Backbone(
        config=PowerRobertaConfig,
        model=PowerRobertaModel,
        tasks={
            "sequence_classification": PowerRobertaForSequenceClassification,
            "multiple_choice": PowerRobertaForMultipleChoice,
        },
        tiny={"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    )
)
