"""What every backbone shares: running the host's encoders with elimination, and finding [CLS] afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.modeling_outputs import BaseModelOutputWithPooling

from powerbert.elimination import SoftExtract, cls_position, extract_mask, extract_rows, significance_scores
from powerbert.models.encoder import HostEncoder, encode, encode_and_extract, encode_and_soft_extract


class Retained(NamedTuple):
    """The word-vectors that leave one encoder.

    Attributes:
        positions: Their positions in the model's input, increasing, [B, K].
        mask: True where such a word is real and not padding, [B, K].
    """

    positions: Tensor
    mask: Tensor


@dataclass
class PowerModelOutput(BaseModelOutputWithPooling):
    """The host's output of a base model, with what was retained.

    ``last_hidden_state`` is [B, K, D] for the K word-vectors that the last encoder retained, and the entries
    of ``hidden_states`` grow shorter accordingly.

    Attributes:
        retained: What left each encoder, if asked for by ``output_retained=True``.
    """

    retained: tuple[Retained, ...] | None = None


class PowerModelMixin:
    """Mixed into a backbone's base model, before the host class.

    A backbone calls ``init_elimination`` at the end of its ``__init__`` and, where ``eliminates`` holds,
    ``eliminate`` in its ``forward``.
    """

    config: Any
    soft_extract: SoftExtract | None

    _keys_to_ignore_on_load_unexpected: set[str] | list[str] | None = [r"soft_extract\."]  # noqa: RUF012

    def init_elimination(self, num_encoders: int) -> None:
        """Check the config's elimination fields and create the retention parameters if it asks for them."""
        self.config.validate_elimination()
        length = self.config.soft_extract_length
        self.soft_extract = None if length is None else SoftExtract(num_encoders, length)

    @property
    def eliminates(self) -> bool:
        """Whether there are extract or soft-extract layers; without, the model is its host."""
        return self.soft_extract is not None or self.config.retention_configuration is not None

    def eliminate(
        self,
        hosts: Iterable[HostEncoder],
        embeddings: Tensor,
        attention_mask: Tensor | None,
        pool: Callable[[Tensor], Tensor] | None,
        *,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        output_retained: bool = False,
        **_: Any,
    ) -> PowerModelOutput:
        """Run the encoders with extract layers (retention configuration) or with soft-extract layers.

        Args:
            hosts: The host's encoders in the order in which they run; ALBERT's shared one comes several
                times.
            embeddings: The words as embedded by the host, [B, N, D].
            attention_mask: Non-zero where a word is real, [B, N]; None if every word is real.
            pool: The host's pooler, given the last word-vector of [CLS], [B, 1, D]; None if it has none.
            output_hidden_states: Whether to keep the embeddings and each encoder's output; the config's by
                default.
            output_attentions: Not offered, as encoders that eliminate nothing have no attention matrix.
            output_retained: Whether to tell which word-vectors left each encoder.

        Raises:
            ValueError: If the mask is not [B, N], or attention matrices are asked for.
        """
        if attention_mask is not None and attention_mask.shape != embeddings.shape[:2]:
            raise ValueError(
                f"attention_mask must have the batch's shape {tuple(embeddings.shape[:2])}, "
                f"not {tuple(attention_mask.shape)}"
            )
        if output_attentions or (output_attentions is None and self.config.output_attentions):
            raise ValueError("a model that eliminates word-vectors does not return attention matrices")
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states

        hidden, mask = embeddings, None if attention_mask is None else attention_mask.bool()
        hidden_states, selections = [hidden], []
        for index, host in enumerate(hosts):
            hidden, mask, selected = self._encode(index, host, hidden, mask)
            hidden_states.append(hidden)
            selections.append(selected)
        pooled = None
        if pool is not None:
            pooled = pool(hidden[:, :1] if mask is None else extract_rows(hidden, cls_position(mask)))
        return PowerModelOutput(
            last_hidden_state=hidden,
            pooler_output=pooled,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            retained=_trace(embeddings, attention_mask, selections) if output_retained else None,
        )

    def _encode(
        self, index: int, host: HostEncoder, hidden: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Output of encoder ``index`` (from 0), its mask, and which of its inputs it retained (None: all)."""
        score = partial(
            significance_scores,
            include_diagonal=self.config.significance_diagonal,
            pad_queries=self.config.significance_pad_queries,
        )
        if self.soft_extract is not None:
            scale = partial(self.soft_extract.scale, encoder=index)
            protect_cls = self.config.soft_extract_protects_cls
            return encode_and_soft_extract(host, hidden, mask, scale, score, protect_cls), mask, None
        k = self.config.retention_configuration[index]
        if k < hidden.shape[1]:
            return encode_and_extract(host, hidden, mask, k, score)
        return encode(host, hidden, mask), mask, None

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, SoftExtract):
            initialization.ones_(module.retention_parameters)


class PowerTaskMixin:
    """Mixed into a backbone's model for a task, whose base model has the ``PowerModelMixin``."""

    base_model: Any

    @property
    def soft_extract(self) -> SoftExtract | None:
        """The retention parameters of a model that searches, else None."""
        return self.base_model.soft_extract

    @torch.no_grad()
    def retained_word_vectors(self, **inputs: Tensor) -> tuple[Retained, ...]:
        """Which word-vectors leave each encoder.

        Args:
            **inputs: ``input_ids`` and what else ``forward`` takes for each word, [B, N]; [B, choices, N] for
                multiple choice, whose choices count as inputs of their own.

        Raises:
            ValueError: If the model has neither a retention configuration nor soft-extract layers.
        """
        if not self.base_model.eliminates:
            raise ValueError("the model eliminates nothing: its config has no retention_configuration")
        sequences = {name: value.flatten(0, -2) for name, value in inputs.items()}
        return self.base_model(**sequences, output_retained=True).retained


def _trace(
    embeddings: Tensor, attention_mask: Tensor | None, selections: list[Tensor | None]
) -> tuple[Retained, ...]:
    """Follow the selections of each encoder back to positions in the model's input."""
    everything = torch.arange(embeddings.shape[1], device=embeddings.device).expand(embeddings.shape[:2])
    mask = torch.ones_like(everything) if attention_mask is None else attention_mask
    kept = Retained(everything, mask.bool())
    trace = []
    for selected in selections:
        if selected is not None:
            kept = Retained(kept.positions.gather(1, selected), extract_mask(kept.mask, selected))
        trace.append(kept)
    return tuple(trace)
