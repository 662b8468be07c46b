"""PoWER-ALBERT: ALBERT with word-vector elimination.

ALBERT's encoders share their weights: one layer runs several times. Each run counts as an encoder, with its
own retention parameters and its own number of retained word-vectors.
"""

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AlbertConfig, AlbertForMultipleChoice, AlbertForSequenceClassification, AlbertModel

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


def albert_encoder(layer: Any) -> HostEncoder:
    """Describe an ``AlbertLayer``."""
    attention, feed_forward_norm = layer.attention, layer.full_layer_layer_norm
    return HostEncoder(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        output_projection=attention.dense,
        head_size=attention.attention_head_size,
        attention_dropout=attention.attention_dropout,
        attention_output=lambda context, hidden: attention.LayerNorm(
            hidden + attention.output_dropout(attention.dense(context))
        ),
        feed_forward=lambda attended: feed_forward_norm(layer.ff_chunk(attended) + attended),
    )


def albert_pool(albert: Any, cls: Tensor) -> Tensor:
    """Apply ALBERT's pooler, a dense layer with tanh."""
    return albert.pooler_activation(albert.pooler(cls[:, 0]))


@strict
class PowerAlbertConfig(PowerFields, AlbertConfig):
    """``AlbertConfig`` with the elimination fields."""

    model_type = "power_albert"

    def num_encoders(self) -> int:
        """Return the number of runs times the layers of a run."""
        return self.num_hidden_layers * self.inner_group_num


class PowerAlbertModel(PowerModelMixin, AlbertModel):
    """``AlbertModel`` with elimination."""

    config_class = PowerAlbertConfig
    host_encoder = staticmethod(albert_encoder)

    def host_layers(self: Any) -> list[nn.Module]:
        """Return the layers of each group in the order in which they run."""
        groups, runs = self.encoder.albert_layer_groups, self.config.num_hidden_layers
        group_of_run = [groups[int(run / (runs / len(groups)))] for run in range(runs)]
        return [layer for group in group_of_run for layer in group.albert_layers]

    def embed(self, **inputs: Tensor) -> Tensor:
        """Embed words as BERT does, then project to the hidden size."""
        return self.encoder.embedding_hidden_mapping_in(self.embeddings(**inputs))

    def pool(self, cls: Tensor) -> Tensor | None:
        """Apply the dense layer with tanh."""
        return None if self.pooler is None else albert_pool(self, cls)


class PowerAlbertForSequenceClassification(PowerTaskMixin, AlbertForSequenceClassification):
    """``AlbertForSequenceClassification`` with elimination."""

    config_class = PowerAlbertConfig
    base_class = PowerAlbertModel

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(albert_pool(self.albert, cls)))


class PowerAlbertForMultipleChoice(PowerTaskMixin, AlbertForMultipleChoice):
    """``AlbertForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerAlbertConfig
    base_class = PowerAlbertModel
    classify = PowerAlbertForSequenceClassification.classify


register_backbone(
    Backbone(
        config=PowerAlbertConfig,
        model=PowerAlbertModel,
        tasks={
            "sequence_classification": PowerAlbertForSequenceClassification,
            "multiple_choice": PowerAlbertForMultipleChoice,
        },
        tiny={"embedding_size": 16},
    )
)
