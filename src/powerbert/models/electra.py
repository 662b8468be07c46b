"""PoWER-ELECTRA: ELECTRA with word-vector elimination; BERT's encoders behind narrower embeddings."""

from __future__ import annotations

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import ElectraConfig, ElectraForSequenceClassification, ElectraModel

from powerbert.models.bert import bert_encoder
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin, PowerTaskMixin


@strict
class PowerElectraConfig(PowerFields, ElectraConfig):
    """``ElectraConfig`` with the elimination fields."""

    model_type = "power_electra"


class PowerElectraModel(PowerModelMixin, ElectraModel):
    """``ElectraModel``, with extract or soft-extract layers where its config asks for them."""

    config: PowerElectraConfig
    config_class = PowerElectraConfig

    def __init__(self, config: PowerElectraConfig) -> None:
        super().__init__(config)
        self.init_elimination()

    def hosts(self) -> list[HostEncoder]:
        """ELECTRA's layers, in order."""
        return [bert_encoder(layer) for layer in self.encoder.layer]

    def embed(self, **inputs: Tensor) -> Tensor:
        """As BERT's, projected to the hidden size if that is another."""
        embeddings = self.embeddings(**inputs)
        return self.embeddings_project(embeddings) if hasattr(self, "embeddings_project") else embeddings


class PowerElectraForSequenceClassification(PowerTaskMixin, ElectraForSequenceClassification):
    """``ElectraForSequenceClassification`` on a ``PowerElectraModel``; losses and outputs are the host's."""

    config: PowerElectraConfig
    config_class = PowerElectraConfig

    def __init__(self, config: PowerElectraConfig) -> None:
        super().__init__(config)
        self.electra = PowerElectraModel(config)
        self.electra.only_cls = True
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """A dense layer with gelu and a linear layer."""
        return self.classifier(cls)
