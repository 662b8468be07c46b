"""PoWER-DistilBERT: DistilBERT with word-vector elimination."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel

from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin, PowerTaskMixin


def distilbert_encoder(block: Any) -> HostEncoder:
    """An encoder of DistilBERT (a ``TransformerBlock``)."""
    attention = block.attention

    def attention_output(context: Tensor, hidden: Tensor) -> Tensor:
        return block.sa_layer_norm(attention.out_lin(context) + hidden)

    def feed_forward(attended: Tensor) -> Tensor:
        return block.output_layer_norm(block.ffn(attended) + attended)

    return HostEncoder(
        query=attention.q_lin,
        key=attention.k_lin,
        value=attention.v_lin,
        output_projection=attention.out_lin,
        head_size=attention.attention_head_size,
        attention_dropout=attention.dropout,
        attention_output=attention_output,
        feed_forward=feed_forward,
    )


@strict
class PowerDistilBertConfig(PowerFields, DistilBertConfig):
    """``DistilBertConfig`` with the elimination fields."""

    model_type = "power_distilbert"


class PowerDistilBertModel(PowerModelMixin, DistilBertModel):
    """``DistilBertModel``, with extract or soft-extract layers where its config asks for them."""

    config: PowerDistilBertConfig
    config_class = PowerDistilBertConfig

    def __init__(self, config: PowerDistilBertConfig) -> None:
        super().__init__(config)
        self.init_elimination()

    def hosts(self) -> list[HostEncoder]:
        """DistilBERT's blocks, in order."""
        return [distilbert_encoder(block) for block in self.transformer.layer]

    def embed(self, input_ids: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """The sum of word and position embeddings, normalised; it knows no token types."""
        inputs.pop("token_type_ids", None)
        return self.embeddings(input_ids, **inputs)


class PowerDistilBertForSequenceClassification(PowerTaskMixin, DistilBertForSequenceClassification):
    """``DistilBertForSequenceClassification`` on a ``PowerDistilBertModel``; losses and outputs are its."""

    config: PowerDistilBertConfig
    config_class = PowerDistilBertConfig

    def __init__(self, config: PowerDistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = PowerDistilBertModel(config)
        self.distilbert.only_cls = True
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """A dense layer with relu and a linear layer."""
        return self.classifier(self.dropout(self.pre_classifier(cls[:, 0]).relu()))
