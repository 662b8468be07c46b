"""PoWER-ModernBERT: ModernBERT (and Ettin's encoders) with word-vector elimination.

It normalises before attention and turns queries and keys by their words' positions; two of three encoders
attend to near words only. Retained words keep their original positions, so angles and distances stay. Only
encoders that attend to all words eliminate, since the others see no input as a whole.
"""

from collections.abc import Sequence
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import (
    ModernBertConfig,
    ModernBertForMultipleChoice,
    ModernBertForSequenceClassification,
    ModernBertModel,
)
from transformers.models.modernbert.modeling_modernbert import rotate_half

from powerbert.base.errors import ConfigError
from powerbert.models.backbone import Backbone, register_backbone
from powerbert.models.configuration import PowerFields
from powerbert.models.encoder import HostEncoder, Part, Relate, Related
from powerbert.models.modeling import PowerModelMixin
from powerbert.models.task import PowerTaskMixin

GLOBAL = "full_attention"


def modernbert_encoder(layer: Any, relate: Relate) -> HostEncoder:
    """Describe a ``ModernBertEncoderLayer``, and what its attention has from positions."""
    attention = layer.attn
    query, key, value = (Part(attention.Wqkv, index, 3) for index in range(3))
    return HostEncoder(
        query=query,
        key=key,
        value=value,
        output_projection=attention.Wo,
        head_size=attention.head_dim,
        attention_dropout=nn.Dropout(attention.attention_dropout).train(layer.training),
        attention_output=lambda context, hidden: hidden + attention.out_drop(attention.Wo(context)),
        feed_forward=lambda attended: attended + layer.mlp(layer.mlp_norm(attended)),
        normalise=layer.attn_norm,
        relate=relate,
    )


def rotary_and_window(base: Any, kind: str) -> Relate:
    """Return what turns queries and keys, and hides far words from an encoder that attends to near ones."""
    window = None if kind == GLOBAL else base.config.sliding_window

    def turn(rows: Tensor, places: Tensor) -> Tensor:
        cosine, sine = (part.unsqueeze(1) for part in base.rotary_emb(rows.float(), places, kind))
        return (rows.float() * cosine + rotate_half(rows.float()) * sine).to(rows.dtype)

    def relate(query: Tensor, key: Tensor, asking: Tensor, asked: Tensor) -> Related:
        bias = None
        if window is not None:
            far = (asking.unsqueeze(2) - asked.unsqueeze(1)).abs() > window
            bias = far.unsqueeze(1).to(query.dtype) * torch.finfo(query.dtype).min
        return Related(turn(query, asking), turn(key, asked), bias)

    return relate


@strict
class PowerModernBertConfig(PowerFields, ModernBertConfig):
    """``ModernBertConfig`` with the elimination fields."""

    model_type = "power_modernbert"

    def able_encoders(self: Any) -> list[int]:
        """Return those that attend to all words."""
        return [encoder for encoder, kind in enumerate(self.layer_types) if kind == GLOBAL]

    def validate_power_fields(self: Any) -> None:
        """Refuse a classifier that reads the mean of all words, besides what is wrong with any field."""
        super().validate_power_fields()
        if self.classifier_pooling != "cls" and self.eliminates:
            raise ConfigError(
                f"classifier_pooling: '{self.classifier_pooling}' reads all words after the last encoder; "
                "elimination needs 'cls'. Fine-tune the model with it"
            )


class PowerModernBertModel(PowerModelMixin, ModernBertModel):
    """``ModernBertModel`` with elimination."""

    config_class = PowerModernBertConfig

    def host_layers(self: Any) -> nn.ModuleList:
        """Return ModernBERT's layers."""
        return self.layers

    @classmethod
    def describe(cls, base: Any) -> list[HostEncoder]:
        """Describe the layers of both kinds."""
        kinds: Sequence[str] = base.config.layer_types
        relate = {kind: rotary_and_window(base, kind) for kind in set(kinds)}
        return [modernbert_encoder(layer, relate[layer.attention_type]) for layer in base.layers]

    def embed(self, **inputs: Tensor) -> Tensor:
        """Embed and normalise words; positions come in later, and there are no token types."""
        words = {name: inputs[name] for name in ("input_ids", "inputs_embeds") if name in inputs}
        return self.embeddings(**words)

    def finish(self: Any, hidden: Tensor) -> Tensor:
        """Apply the norm after the last encoder."""
        return self.final_norm(hidden)


class PowerModernBertForSequenceClassification(PowerTaskMixin, ModernBertForSequenceClassification):
    """``ModernBertForSequenceClassification`` with elimination."""

    config_class = PowerModernBertConfig
    base_class = PowerModernBertModel
    reads_first_row = True

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Apply the last norm, the head, dropout and a linear layer."""
        return self.classifier(self.drop(self.head(self.model.final_norm(cls)[:, 0])))


class PowerModernBertForMultipleChoice(PowerTaskMixin, ModernBertForMultipleChoice):
    """``ModernBertForMultipleChoice`` with elimination; each choice is an input by itself."""

    config_class = PowerModernBertConfig
    base_class = PowerModernBertModel
    reads_first_row = True
    classify = PowerModernBertForSequenceClassification.classify


register_backbone(
    Backbone(
        config=PowerModernBertConfig,
        model=PowerModernBertModel,
        tasks={
            "sequence_classification": PowerModernBertForSequenceClassification,
            "multiple_choice": PowerModernBertForMultipleChoice,
        },
        tiny={
            "local_attention": 8,
            "layer_types": [GLOBAL, "sliding_attention", GLOBAL],
            "pad_token_id": 0,
            "bos_token_id": 2,
            "cls_token_id": 2,
            "eos_token_id": 3,
            "sep_token_id": 3,
            "norm_bias": True,
        },
    )
)
