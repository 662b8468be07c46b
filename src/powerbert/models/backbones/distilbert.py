"""PoWER-DistilBERT: DistilBERT with word-vector elimination."""

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


def distilbert_encoder(block: Any) -> HostEncoder:
    """Describe a ``TransformerBlock`` of DistilBERT."""
    attention = block.attention
    return HostEncoder(
        query=attention.q_lin,
        key=attention.k_lin,
        value=attention.v_lin,
        output_projection=attention.out_lin,
        head_size=attention.attention_head_size,
        attention_dropout=attention.dropout,
        attention_output=lambda context, hidden: block.sa_layer_norm(attention.out_lin(context) + hidden),
        feed_forward=lambda attended: block.output_layer_norm(block.ffn(attended) + attended),
    )


@strict
class PowerDistilBertConfig(PowerFields, DistilBertConfig):
    """``DistilBertConfig`` with the elimination fields."""

    model_type = "power_distilbert"


class PowerDistilBertModel(PowerModelMixin, DistilBertModel):
    """``DistilBertModel`` with elimination."""

    config_class = PowerDistilBertConfig
    host_encoder = staticmethod(distilbert_encoder)

    def host_layers(self: Any) -> nn.ModuleList:
        """Return DistilBERT's blocks."""
        return self.transformer.layer

    def embed(self, input_ids: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Sum and normalize word and position embeddings; DistilBERT has no token types and ignores them."""
        inputs.pop("token_type_ids", None)
        return self.embeddings(input_ids, **inputs)


class PowerDistilBertForSequenceClassification(PowerTaskMixin, DistilBertForSequenceClassification):
    """``DistilBertForSequenceClassification`` with elimination."""

    config_class = PowerDistilBertConfig
    base_class = PowerDistilBertModel
    reads_first_row = True

    def classify(self, cls: Tensor) -> Tensor:
        """Apply a dense layer with relu, dropout and a linear layer."""
        return self.classifier(self.dropout(self.pre_classifier(cls[:, 0]).relu()))


register_backbone(
    Backbone(
        config=PowerDistilBertConfig,
        model=PowerDistilBertModel,
        tasks={"sequence_classification": PowerDistilBertForSequenceClassification},
        tiny={"hidden_dim": 64},
    )
)
