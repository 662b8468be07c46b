"""PoWER-DeBERTa: DeBERTa-v2 and v3 with word-vector elimination.

Its attention scores add what content and relative position pay to each other. Retained words keep their
original positions, so both terms stay what they were, and significance contains them.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import (
    DebertaV2Config,
    DebertaV2ForMultipleChoice,
    DebertaV2ForSequenceClassification,
    DebertaV2Model,
)
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from powerbert.base.errors import ConfigError
from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder, Relate, Related
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin


def deberta_encoder(layer: Any, relate: Relate | None) -> HostEncoder:
    """Describe a ``DebertaV2Layer``, and what its attention has from positions."""
    own, output = layer.attention.self, layer.attention.output
    return HostEncoder(
        query=own.query_proj,
        key=own.key_proj,
        value=own.value_proj,
        output_projection=output.dense,
        head_size=own.attention_head_size,
        attention_dropout=own.dropout,
        attention_output=output,
        feed_forward=lambda attended: layer.output(layer.intermediate(attended), attended),
        relate=relate,
    )


def rows_of_distances(own: Any, device: torch.device) -> Tensor:
    """Return the row of the position embeddings for each distance from -M to M, [2M + 1].

    A distance beyond M has the row of M.
    """
    longest, size = own.max_relative_positions, own.pos_ebd_size
    distances = torch.arange(-longest, longest + 1, device=device)
    if own.position_buckets > 0:
        distances = make_log_bucket_position(distances, own.position_buckets, longest).long()
    return (distances + size).clamp(0, 2 * size - 1)


def disentangled(base: Any, own: Any, heads: Sequence[int] | slice, rows: Tensor | None) -> Relate | None:
    """Return what some heads of a ``DisentangledSelfAttention`` add to scores and scale them by.

    Scores are ``(Q K^T + c2p + p2c) / sqrt(3 E)``, or fewer terms and a smaller factor (He et al. 2021,
    equation 4): c2p is that of queries and positions, p2c that of positions and keys. ``rows`` are those of
    ``rows_of_distances``; None without relative attention.
    """
    kinds = {"c2p", "p2c"} & set(own.pos_att_type)
    if not kinds:
        return None
    terms, size = 1 + len(kinds), own.attention_head_size

    def project(positions: Tensor, name: str) -> Tensor:
        """Project the embeddings of S relative positions, [S, D], for each head and scale them, [H, E, S]."""
        projection = getattr(own, f"{name}_proj" if own.share_att_key else f"pos_{name}_proj")
        projected = projection(positions).unflatten(-1, (-1, size))
        projected = projected if own.share_att_key else projected[:, heads]  # shared ones are pruned
        return projected.permute(1, 2, 0) / math.sqrt(terms * size)

    def relate(query: Tensor, key: Tensor, asking: Tensor, asked: Tensor) -> Related:
        scaled, bias = query / math.sqrt(terms), None
        if rows is None:
            return Related(scaled, key)
        longest = len(rows) // 2
        index = rows[(asking.unsqueeze(2) - asked.unsqueeze(1)).clamp(-longest, longest) + longest]
        index = index.unsqueeze(1).expand(-1, query.shape[1], -1, -1)
        positions = own.pos_dropout(base.encoder.get_rel_embedding())
        if "c2p" in kinds:
            bias = (query @ project(positions, "key")).gather(-1, index)
        if "p2c" in kinds:
            p2c = (key @ project(positions, "query")).gather(-1, index.transpose(2, 3)).transpose(2, 3)
            bias = p2c if bias is None else bias + p2c
        return Related(scaled, key, bias)

    return relate


def refuse_convolution(config: Any) -> None:
    """Raise ConfigError if a convolution over neighbours follows the first encoder."""
    if getattr(config, "conv_kernel_size", 0) > 0:
        raise ConfigError(
            f"conv_kernel_size: {config.conv_kernel_size} mixes neighbours after the first encoder, which "
            "elimination does not support; choose a DeBERTa without a convolution, such as v3"
        )


@strict
class PowerDebertaV2Config(PowerFields, DebertaV2Config):
    """``DebertaV2Config`` with the elimination fields."""

    model_type = "power_deberta-v2"

    def validate_power_fields(self: Any) -> None:
        """Refuse a convolution, besides what is wrong with any field."""
        super().validate_power_fields()
        if self.eliminates or self.encoder_heads is not None:
            refuse_convolution(self)


class PowerDebertaV2Model(PowerModelMixin, DebertaV2Model):  # type: ignore[misc]
    """``DebertaV2Model`` with elimination."""

    config_class = PowerDebertaV2Config

    @classmethod
    def describe(cls, base: Any) -> list[HostEncoder]:
        """Describe the layers, which share the embeddings of relative positions."""
        refuse_convolution(base.config)
        layers: list[Any] = list(cls.host_layers(base))
        heads = getattr(base.config, "kept_heads", None) or [slice(None)] * len(layers)
        relative = base.encoder.relative_attention
        rows = rows_of_distances(layers[0].attention.self, base.device) if relative else None
        return [
            deberta_encoder(layer, disentangled(base, layer.attention.self, kept, rows))
            for layer, kept in zip(layers, heads, strict=True)
        ]


class PowerDebertaV2ForSequenceClassification(PowerTaskMixin, DebertaV2ForSequenceClassification):
    """``DebertaV2ForSequenceClassification`` with elimination."""

    config_class = PowerDebertaV2Config
    base_class = PowerDebertaV2Model
    reads_first_row = True

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the pooler, dropout and a linear layer."""
        return self.classifier(self.dropout(self.pooler(cls)))


class PowerDebertaV2ForMultipleChoice(PowerTaskMixin, DebertaV2ForMultipleChoice):
    """``DebertaV2ForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerDebertaV2Config
    base_class = PowerDebertaV2Model
    reads_first_row = True
    classify = PowerDebertaV2ForSequenceClassification.classify


register_backbone(
    Backbone(
        config=PowerDebertaV2Config,
        model=PowerDebertaV2Model,
        tasks={
            "sequence_classification": PowerDebertaV2ForSequenceClassification,
            "multiple_choice": PowerDebertaV2ForMultipleChoice,
        },
        tiny={
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
        },
    )
)
