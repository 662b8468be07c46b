"""What every backbone shares: running the host's encoders with elimination, and finding [CLS] afterwards."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import guard_or_false
from transformers import initialization
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from powerbert.elimination import (
    SoftExtract,
    StaticSelection,
    blockwise_significance,
    cls_position,
    extract_rows,
)
from powerbert.models.configuration import longest_input, num_encoders
from powerbert.models.encoder import HostEncoder, Score, encode, encode_and_extract, encode_and_soft_extract
from powerbert.models.heads import leave_heads

Output = tuple[Tensor, Tensor | None, Tensor | None]
"""What leaves an encoder: word-vectors, [B, K, D]; their mask, [B, K], None if all are real; and which of its
inputs they are, [B, K], None if all."""

Run = Callable[[HostEncoder, Tensor, Tensor | None], Output]
"""Runs an encoder with what is inserted there, on word-vectors, [B, N, D], and their mask, [B, N]."""


class Retained(NamedTuple):
    """The word-vectors that leave one encoder.

    Attributes:
        positions: Their positions in the model's input, increasing, [B, K].
        mask: True for a word that is retained, False for padding, and for what else fills the row of an
            input that retains fewer than K words, [B, K].
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

    A backbone calls ``init_elimination`` at the end of its ``__init__`` and says where its host keeps what
    elimination needs: ``hosts``, ``embed`` and ``pool``. These three use nothing but the host's own modules.

    Attributes:
        only_cls: Whether ``last_hidden_state`` is the word-vector of [CLS] alone, [B, 1, D], where the model
            eliminates. For heads that read row 0, which is padding in a left-padded batch.
    """

    config: Any
    soft_extract: SoftExtract | None
    static_selection: StaticSelection | None
    only_cls = False

    _keys_to_ignore_on_load_unexpected: set[str] | list[str] | None = [r"soft_extract\."]  # noqa: RUF012

    def init_elimination(self) -> None:
        """Check the config's elimination fields and create the modules that they ask for."""
        config = self.config
        config.validate_power_fields()
        if config.encoder_heads is not None:
            leave_heads(self.hosts(), [range(heads) for heads in config.encoder_heads])
        length = config.soft_extract_length
        self.soft_extract = None if length is None else SoftExtract(num_encoders(config), length)
        orders = {"head": range(longest_input(config)), "rand": config.selection_order}
        order = orders.get(config.selection)
        self.static_selection = None if order is None else StaticSelection(order)

    @property
    def eliminates(self) -> bool:
        """Whether there are extract or soft-extract layers."""
        return self.soft_extract is not None or self.config.retention_configuration is not None

    @abstractmethod
    def hosts(self) -> list[HostEncoder]:
        """The host's encoders in the order in which they run; ALBERT's shared one comes several times."""

    @abstractmethod
    def embed(self, **inputs: Tensor) -> Tensor:
        """The words as embedded by the host, [B, N, D], from ``input_ids`` and what else each word has."""

    def pool(self, cls: Tensor) -> Tensor | None:
        """The host's pooler output, [B, D], from the last word-vector of [CLS], [B, 1, D]; None without."""
        return None

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As the host's ``forward``, and with ``output_retained=True`` as ``eliminate``.

        Returns:
            ``PowerModelOutput`` where the model eliminates or has lost heads, else the host's own output.
        """
        given = {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
        }
        inputs = {name: value for name, value in given.items() if value is not None}
        if not self.eliminates and self.config.encoder_heads is None:
            return super().forward(attention_mask=attention_mask, **inputs, **kwargs)  # type: ignore[misc]
        return self.eliminate(self.embed(**inputs), attention_mask, **kwargs)

    def eliminate(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None,
        *,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        output_retained: bool = False,
        **_: Any,
    ) -> PowerModelOutput:
        """Run the encoders with extract layers (retention configuration), soft-extract layers, or neither.

        Args:
            embeddings: The words as embedded by the host, [B, N, D].
            attention_mask: Non-zero where a word is real, [B, N]; None if every word is real.
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
        words = mask if mask is not None else torch.ones_like(hidden[..., 0], dtype=torch.bool)
        hidden_states = [hidden] if output_hidden_states else []
        outputs = []
        for host, run in zip(self.hosts(), self._layers(words), strict=True):
            hidden, mask, selected = run(host, hidden, mask)
            outputs.append((selected, mask))
            if output_hidden_states:
                hidden_states.append(hidden)
        cls = hidden[:, :1] if mask is None else extract_rows(hidden, cls_position(mask))
        return PowerModelOutput(
            last_hidden_state=cls if self.only_cls else hidden,
            pooler_output=self.pool(cls),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            retained=_trace(words, outputs) if output_retained else None,
        )

    def _layers(self, words: Tensor) -> list[Run]:
        """How to run each encoder; ``words`` is True where a word of the model's input is real, [B, N]."""
        config = self.config
        if not self.eliminates:
            return [partial(_retain, retained=None)] * num_encoders(config)
        score = partial(
            blockwise_significance,
            include_diagonal=config.significance_diagonal,
            pad_queries=config.significance_pad_queries,
        )
        if self.soft_extract is not None:
            protect_cls = config.soft_extract_protects_cls
            return [
                partial(_scale, layer=self.soft_extract, encoder=j, score=score, protect_cls=protect_cls)
                for j in range(num_encoders(config))
            ]
        if self.static_selection is not None:
            schedule = self.static_selection.schedule(words, config.retention_configuration)
            return [partial(_retain, retained=retained) for retained in schedule]
        return [partial(_extract, k=k, score=score) for k in config.retention_configuration]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, SoftExtract):
            initialization.ones_(module.retention_parameters)
        elif isinstance(module, StaticSelection):
            initialization.copy_(module.places, module.inverse_order())


class PowerTaskMixin:
    """Mixed into a backbone's model for a task, whose base model has the ``PowerModelMixin``."""

    base_model: Any

    @abstractmethod
    def classify(self, cls: Tensor) -> Tensor:
        """Logits of each sequence, [B, outputs], from the last word-vector of [CLS], [B, 1, D].

        It uses nothing but the host's own modules.
        """

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


def _scale(
    host: HostEncoder,
    hidden: Tensor,
    mask: Tensor | None,
    *,
    layer: SoftExtract,
    encoder: int,
    score: Score,
    protect_cls: bool,
) -> Output:
    """An encoder with a soft-extract layer."""
    scale = partial(layer.scale, encoder=encoder)
    return encode_and_soft_extract(host, hidden, mask, scale, score, protect_cls), mask, None


def _retain(
    host: HostEncoder, hidden: Tensor, mask: Tensor | None, *, retained: tuple[Tensor, Tensor] | None
) -> Output:
    """An encoder with an extract layer that retains given word-vectors; all of them without."""
    if retained is None:
        return encode(host, hidden, mask), mask, None
    positions, retained_mask = retained
    return encode(host, hidden, mask, positions), retained_mask, positions


def _extract(host: HostEncoder, hidden: Tensor, mask: Tensor | None, *, k: int, score: Score) -> Output:
    """An encoder with an extract layer that retains the k most significant word-vectors."""
    length = hidden.shape[1]
    # An exported graph serves every length: there it extracts, unless no input is longer than k.
    if guard_or_false(k >= length):
        return encode(host, hidden, mask), mask, None
    return encode_and_extract(host, hidden, mask, torch.sym_min(k, length), score)


def _trace(words: Tensor, outputs: list[tuple[Tensor | None, Tensor | None]]) -> tuple[Retained, ...]:
    """Follow what each encoder retained of its inputs back to positions in the model's input."""
    positions = torch.arange(words.shape[1], device=words.device).expand_as(words)
    trace = []
    for selected, mask in outputs:
        if selected is not None:
            positions = positions.gather(1, selected)
        real = torch.ones_like(positions, dtype=torch.bool) if mask is None else mask
        trace.append(Retained(positions, real))
    return tuple(trace)
