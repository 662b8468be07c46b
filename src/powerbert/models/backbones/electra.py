"""PoWER-ELECTRA: ELECTRA with word-vector elimination; BERT's encoders after narrower embeddings."""

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import ElectraConfig, ElectraForSequenceClassification, ElectraModel

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.backbones.bert import bert_encoder
from powerbert.models.configuration import PowerFields
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


@strict
class PowerElectraConfig(PowerFields, ElectraConfig):
    """``ElectraConfig`` with the elimination fields."""

    model_type = "power_electra"


class PowerElectraModel(PowerModelMixin, ElectraModel):
    """``ElectraModel`` with elimination."""

    config_class = PowerElectraConfig
    host_encoder = staticmethod(bert_encoder)

    def embed(self, **inputs: Tensor) -> Tensor:
        """Embed words as BERT does, then project to the hidden size if that differs."""
        embeddings = self.embeddings(**inputs)
        return self.embeddings_project(embeddings) if hasattr(self, "embeddings_project") else embeddings


class PowerElectraForSequenceClassification(PowerTaskMixin, ElectraForSequenceClassification):
    """``ElectraForSequenceClassification`` with elimination."""

    config_class = PowerElectraConfig
    base_class = PowerElectraModel
    reads_first_row = True


register_backbone(
    Backbone(
        config=PowerElectraConfig,
        model=PowerElectraModel,
        tasks={"sequence_classification": PowerElectraForSequenceClassification},
        tiny={"embedding_size": 16},
    )
)
