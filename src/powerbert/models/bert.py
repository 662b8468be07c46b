"""PoWER-BERT: BERT with word-vector elimination. Parameters and state-dict keys are BERT's own."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import BertConfig, BertForMultipleChoice, BertForSequenceClassification, BertModel

from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin, PowerTaskMixin


def bert_encoder(layer: Any) -> HostEncoder:
    """An encoder of BERT (a ``BertLayer``), or of a model whose layers name their parts as BERT's do."""
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


def bert_logits(model: Any, cls: Tensor) -> Tensor:
    """The head of BERT's models for classification and for multiple choice."""
    return model.classifier(model.dropout(model.bert.pooler(cls)))


@strict
class PowerBertConfig(PowerFields, BertConfig):
    """``BertConfig`` with the elimination fields."""

    model_type = "power_bert"


class PowerBertModel(PowerModelMixin, BertModel):
    """``BertModel``, with extract or soft-extract layers where its config asks for them.

    Where it eliminates, it pools [CLS], the first real word of an input; BERT pools position 0, which is
    padding in a left-padded batch.
    """

    config: PowerBertConfig
    config_class = PowerBertConfig

    def __init__(self, config: PowerBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        self.init_elimination()

    def hosts(self) -> list[HostEncoder]:
        """BERT's layers, in order."""
        return [bert_encoder(layer) for layer in self.encoder.layer]

    def embed(self, **inputs: Tensor) -> Tensor:
        """The sum of word, position and token type embeddings, normalised."""
        return self.embeddings(**inputs)

    def pool(self, cls: Tensor) -> Tensor | None:
        """A dense layer with tanh."""
        return None if self.pooler is None else self.pooler(cls)


class PowerBertForSequenceClassification(PowerTaskMixin, BertForSequenceClassification):
    """``BertForSequenceClassification`` on a ``PowerBertModel``; losses and outputs are the host's."""

    config: PowerBertConfig
    config_class = PowerBertConfig

    def __init__(self, config: PowerBertConfig) -> None:
        super().__init__(config)
        self.bert = PowerBertModel(config)
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """The pooler's output through a linear layer."""
        return bert_logits(self, cls)


class PowerBertForMultipleChoice(PowerTaskMixin, BertForMultipleChoice):
    """``BertForMultipleChoice`` on a ``PowerBertModel``; each choice is an input of its own."""

    config: PowerBertConfig
    config_class = PowerBertConfig

    def __init__(self, config: PowerBertConfig) -> None:
        super().__init__(config)
        self.bert = PowerBertModel(config)
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """The pooler's output through a linear layer."""
        return bert_logits(self, cls)
