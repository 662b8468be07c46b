"""PoWER-BERT: BERT with word-vector elimination. Parameters and state-dict keys are BERT's own."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.models.bert.modeling_bert import (
    BertForMultipleChoice,
    BertForSequenceClassification,
    BertModel,
)
from transformers.utils.generic import can_return_tuple

from powerbert.models.configuration import PowerBertConfig
from powerbert.models.encoder import HostEncoder
from powerbert.models.modeling import PowerModelMixin, PowerTaskMixin


def bert_encoder(layer: Any) -> HostEncoder:
    """An encoder of BERT (a ``BertLayer``), or of a model whose layers name their parts as BERT's do."""
    attention = layer.attention.self
    return HostEncoder(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        head_size=attention.attention_head_size,
        attention_dropout=attention.dropout,
        attention_output=layer.attention.output,
        feed_forward=layer.feed_forward_chunk,
    )


class PowerBertModel(PowerModelMixin, BertModel):
    """``BertModel``, with extract or soft-extract layers where its config asks for them.

    Where it eliminates, it pools [CLS], the first real word of an input; BERT pools position 0, which is
    padding in a left-padded batch.
    """

    config: PowerBertConfig
    config_class = PowerBertConfig

    def __init__(self, config: PowerBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        self.init_elimination(num_encoders=len(self.encoder.layer))

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ):
        """As ``BertModel.forward``, and with ``output_retained=True`` as ``PowerModelMixin.eliminate``.

        Returns:
            ``PowerModelOutput`` where the model eliminates, else BERT's own output.
        """
        inputs = {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
        }
        if not self.eliminates:
            return super().forward(attention_mask=attention_mask, **inputs, **kwargs)
        hosts = [bert_encoder(layer) for layer in self.encoder.layer]
        return self.eliminate(hosts, self.embeddings(**inputs), attention_mask, self.pooler, **kwargs)


class PowerBertForSequenceClassification(PowerTaskMixin, BertForSequenceClassification):
    """``BertForSequenceClassification`` on a ``PowerBertModel``; losses and outputs are the host's."""

    config: PowerBertConfig
    config_class = PowerBertConfig

    def __init__(self, config: PowerBertConfig) -> None:
        super().__init__(config)
        self.bert = PowerBertModel(config)
        self.post_init()


class PowerBertForMultipleChoice(PowerTaskMixin, BertForMultipleChoice):
    """``BertForMultipleChoice`` on a ``PowerBertModel``; each choice is an input of its own."""

    config: PowerBertConfig
    config_class = PowerBertConfig

    def __init__(self, config: PowerBertConfig) -> None:
        super().__init__(config)
        self.bert = PowerBertModel(config)
        self.post_init()
