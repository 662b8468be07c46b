"""PoWER-MPNet: MPNet with word-vector elimination.

Its attention adds a bias that depends on the distance of two words. Retained words keep their original
positions, so the bias between them stays what it was.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor
from torch.nn import functional as F
from transformers import MPNetConfig, MPNetForMultipleChoice, MPNetForSequenceClassification, MPNetModel

from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder, Relate, Related
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


def mpnet_encoder(layer: Any, relate: Relate) -> HostEncoder:
    """Describe an ``MPNetLayer``, and what its attention has from positions."""
    attention, own = layer.attention, layer.attention.attn
    return HostEncoder(
        query=own.q,
        key=own.k,
        value=own.v,
        output_projection=own.o,
        head_size=own.attention_head_size,
        attention_dropout=own.dropout,
        attention_output=lambda context, hidden: attention.LayerNorm(
            attention.dropout(own.o(context)) + hidden
        ),
        feed_forward=lambda attended: layer.output(layer.intermediate(attended), attended),
        relate=relate,
    )


def distance_bias(base: Any, heads: Sequence[int] | slice) -> Relate:
    """Return what adds to scores what some heads have learnt for the distance of two words."""

    def relate(query: Tensor, key: Tensor, asking: Tensor, asked: Tensor) -> Related:
        buckets = base.encoder.relative_position_bucket(asked[:, None, :] - asking[:, :, None])
        bias = F.embedding(buckets, base.encoder.relative_attention_bias.weight[:, heads])
        return Related(query, key, bias.permute(0, 3, 1, 2).to(query.dtype))

    return relate


@strict
class PowerMPNetConfig(PowerFields, MPNetConfig):
    """``MPNetConfig`` with the elimination fields."""

    model_type = "power_mpnet"

    def longest_input(self: Any) -> int:
        """Return the positions after the padding index, which is 1 whatever the config says."""
        return self.max_position_embeddings - 2


class PowerMPNetModel(PowerModelMixin, MPNetModel):
    """``MPNetModel`` with elimination."""

    config_class = PowerMPNetConfig

    @classmethod
    def describe(cls, base: Any) -> list[HostEncoder]:
        """Describe the layers, which share their bias."""
        layers = cls.host_layers(base)
        heads = getattr(base.config, "kept_heads", None) or [slice(None)] * len(layers)
        return [mpnet_encoder(layer, distance_bias(base, h)) for layer, h in zip(layers, heads, strict=True)]

    def embed(self, **inputs: Tensor) -> Tensor:
        """Sum and normalize word and position embeddings; MPNet has no token types and ignores them."""
        inputs.pop("token_type_ids", None)
        return self.embeddings(**inputs)


class PowerMPNetForSequenceClassification(PowerTaskMixin, MPNetForSequenceClassification):
    """``MPNetForSequenceClassification`` with elimination."""

    config_class = PowerMPNetConfig
    base_class = staticmethod(partial(PowerMPNetModel, add_pooling_layer=False))
    reads_first_row = True


class PowerMPNetForMultipleChoice(PowerTaskMixin, MPNetForMultipleChoice):
    """``MPNetForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerMPNetConfig
    base_class = PowerMPNetModel

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(self.mpnet.pooler(cls)))


register_backbone(
    Backbone(
        config=PowerMPNetConfig,
        model=PowerMPNetModel,
        tasks={
            "sequence_classification": PowerMPNetForSequenceClassification,
            "multiple_choice": PowerMPNetForMultipleChoice,
        },
        tiny={"max_position_embeddings": 514, "layer_norm_eps": 1e-5},
    )
)
