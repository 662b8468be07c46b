"""PoWER-ALBERT: ALBERT with word-vector elimination.

Encoders that share their weights run several times, and each time count as an encoder of their own: with
retention parameters and with a number of retained word-vectors of their own.
"""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import AlbertConfig, AlbertForMultipleChoice, AlbertForSequenceClassification, AlbertModel

from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin, PowerTaskMixin


def albert_encoder(layer: Any) -> HostEncoder:
    """An encoder of ALBERT (an ``AlbertLayer``)."""
    attention = layer.attention

    def attention_output(context: Tensor, hidden: Tensor) -> Tensor:
        return attention.LayerNorm(hidden + attention.output_dropout(attention.dense(context)))

    def feed_forward(attended: Tensor) -> Tensor:
        return layer.full_layer_layer_norm(layer.ff_chunk(attended) + attended)

    return HostEncoder(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        output_projection=attention.dense,
        head_size=attention.attention_head_size,
        attention_dropout=attention.attention_dropout,
        attention_output=attention_output,
        feed_forward=feed_forward,
    )


def albert_pool(albert: Any, cls: Tensor) -> Tensor:
    """ALBERT's pooler, which is no module of its own."""
    return albert.pooler_activation(albert.pooler(cls[:, 0]))


def albert_logits(model: Any, cls: Tensor) -> Tensor:
    """The head of ALBERT's models for classification and for multiple choice."""
    return model.classifier(model.dropout(albert_pool(model.albert, cls)))


@strict
class PowerAlbertConfig(PowerFields, AlbertConfig):
    """``AlbertConfig`` with the elimination fields."""

    model_type = "power_albert"


class PowerAlbertModel(PowerModelMixin, AlbertModel):
    """``AlbertModel``, with extract or soft-extract layers where its config asks for them."""

    config: PowerAlbertConfig
    config_class = PowerAlbertConfig

    def __init__(self, config: PowerAlbertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        self.init_elimination()

    def hosts(self) -> list[HostEncoder]:
        """The layers of each group in order, as often as the group runs."""
        groups: Any = self.encoder.albert_layer_groups
        runs = self.config.num_hidden_layers
        encoders = [[albert_encoder(layer) for layer in group.albert_layers] for group in groups]
        return [encoder for run in range(runs) for encoder in encoders[int(run / (runs / len(groups)))]]

    def embed(self, **inputs: Tensor) -> Tensor:
        """As BERT's, projected to the hidden size."""
        return self.encoder.embedding_hidden_mapping_in(self.embeddings(**inputs))

    def pool(self, cls: Tensor) -> Tensor | None:
        """A dense layer with tanh."""
        return None if self.pooler is None else albert_pool(self, cls)


class PowerAlbertForSequenceClassification(PowerTaskMixin, AlbertForSequenceClassification):
    """``AlbertForSequenceClassification`` on a ``PowerAlbertModel``; losses and outputs are the host's."""

    config: PowerAlbertConfig
    config_class = PowerAlbertConfig

    def __init__(self, config: PowerAlbertConfig) -> None:
        super().__init__(config)
        self.albert = PowerAlbertModel(config)
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """The pooler's output through a linear layer."""
        return albert_logits(self, cls)


class PowerAlbertForMultipleChoice(PowerTaskMixin, AlbertForMultipleChoice):
    """``AlbertForMultipleChoice`` on a ``PowerAlbertModel``; each choice is an input of its own."""

    config: PowerAlbertConfig
    config_class = PowerAlbertConfig

    def __init__(self, config: PowerAlbertConfig) -> None:
        super().__init__(config)
        self.albert = PowerAlbertModel(config)
        self.post_init()

    def classify(self, cls: Tensor) -> Tensor:
        """The pooler's output through a linear layer."""
        return albert_logits(self, cls)
