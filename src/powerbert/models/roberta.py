"""PoWER-RoBERTa: RoBERTa with word-vector elimination; its encoders are BERT's, its head is not."""

from __future__ import annotations

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaModel

from powerbert.models.bert import bert_encoder
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin, PowerTaskMixin


@strict
class PowerRobertaConfig(PowerFields, RobertaConfig):
    """``RobertaConfig`` with the elimination fields."""

    model_type = "power_roberta"


class PowerRobertaModel(PowerModelMixin, RobertaModel):
    """``RobertaModel``, with extract or soft-extract layers where its config asks for them."""

    config: PowerRobertaConfig
    config_class = PowerRobertaConfig

    def __init__(self, config: PowerRobertaConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        self.init_elimination()

    def hosts(self) -> list[HostEncoder]:
        """RoBERTa's layers, in order."""
        return [bert_encoder(layer) for layer in self.encoder.layer]

    def embed(self, **inputs: Tensor) -> Tensor:
        """As BERT's; positions count from the padding index on, over what is not padding."""
        return self.embeddings(**inputs)

    def pool(self, cls: Tensor) -> Tensor | None:
        """A dense layer with tanh."""
        return None if self.pooler is None else self.pooler(cls)


class PowerRobertaForSequenceClassification(PowerTaskMixin, RobertaForSequenceClassification):
    """``RobertaForSequenceClassification`` on a ``PowerRobertaModel``; losses and outputs are the host's."""

    config: PowerRobertaConfig
    config_class = PowerRobertaConfig

    def __init__(self, config: PowerRobertaConfig) -> None:
        super().__init__(config)
        self.roberta = PowerRobertaModel(config, add_pooling_layer=False)
        self.roberta.only_cls = True
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """A dense layer with tanh and a linear layer."""
        return self.classifier(cls)
