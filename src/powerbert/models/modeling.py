"""Mixins that turn host models into power models: they run the host's encoders with elimination.

Shapes: B inputs, N words of an input, K retained word-vectors, D hidden size.
"""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import guard_or_false
from transformers import initialization
from transformers.utils.generic import can_return_tuple

from powerbert.base.errors import ConfigError
from powerbert.elimination.selection import StaticSelection
from powerbert.elimination.soft_extract import SoftExtract
from powerbert.elimination.threshold import SoftThreshold
from powerbert.models.encoder import HostEncoder, in_order, keep_heads, places_after, row_of_cls
from powerbert.models.retaining import Given, Retaining
from powerbert.models.task import PowerModelOutput, Retained

EMBEDDED = ("token_type_ids", "position_ids", "inputs_embeds")
"""Arguments of hosts that their embeddings take, besides the words."""


class PowerModelMixin:
    """Comes before the host class among the bases of a backbone's base model.

    A backbone says where its host keeps what elimination needs: ``host_encoder``, ``host_layers``, ``embed``,
    ``finish`` and ``pool``. They use nothing but the host's own modules, and are also called with a host
    model as self.

    Attributes:
        host_encoder: Describes one of the ``host_layers`` as a ``HostEncoder``.
        only_cls: Whether ``last_hidden_state`` is the word-vector of [CLS] alone, [B, 1, D], where the model
            eliminates. For heads that read row 0, which is padding in a left-padded batch.
        only_cls_states: Whether ``hidden_states`` hold the word-vectors of [CLS] alone, [B, 1, D], where the
            model eliminates: it then stands at another row after each encoder.
    """

    config: Any
    host_encoder: Callable[[Any], HostEncoder]
    only_cls = False
    only_cls_states = False
    supports_gradient_checkpointing = True
    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Any]

    _keys_to_ignore_on_load_unexpected: set[str] | list[str] | None = [  # noqa: RUF012
        r"soft_extract\.",
        r"soft_threshold\.",
    ]

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]
        config.validate_power_fields()
        if config.encoder_heads is not None:
            keep_heads(self.hosts(), [range(heads) for heads in config.encoder_heads])
        bins = config.soft_extract_bins
        length = config.soft_extract_length if bins is None else bins
        can = config.eliminating_encoders()
        self.soft_extract = (
            None
            if length is None
            else SoftExtract(config.num_encoders(), length, bins=bins is not None, eliminating=can)
        )
        temperature = config.soft_threshold_temperature
        self.soft_threshold = (
            None if temperature is None else SoftThreshold(config.num_encoders(), temperature)
        )
        orders = {"head": range(config.longest_input()), "rand": config.selection_order}
        order = orders.get(config.selection)
        self.static_selection = None if order is None else StaticSelection(order)

    def host_layers(self: Any) -> nn.ModuleList | list[nn.Module]:
        """Return the host's layers in the order in which they run; a shared one comes several times."""
        return self.encoder.layer

    @classmethod
    def describe(cls, base: Any) -> list[HostEncoder]:
        """Describe all encoders of a host or power base model in the order in which they run."""
        return [cls.host_encoder(layer) for layer in cls.host_layers(base)]

    def embed(self: Any, **inputs: Tensor) -> Tensor:
        """Embed words as the host does, [B, N, D], from ``input_ids`` and what else each word has."""
        return self.embeddings(**inputs)

    def pool(self: Any, cls: Tensor) -> Tensor | None:
        """Apply the host's pooler, if any, to the last word-vector of [CLS], [B, 1, D]; [B, D]."""
        return self.pooler(cls) if getattr(self, "pooler", None) is not None else None

    def finish(self: Any, hidden: Tensor) -> Tensor:
        """Do what the host does after its last encoder, to [B, K, D]."""
        return hidden

    def hosts(self) -> list[HostEncoder]:
        """Describe those of the host's encoders that run, in order."""
        described = type(self).describe(self)
        return [described[encoder] for encoder in self.config.running_encoders()]

    def set_retention(self, shares: Sequence[float], encoders: Sequence[int] | None = None) -> None:
        """Retain other shares from now on, and run only some encoders, from 0; the weights stay."""
        self.config.retention_shares, self.config.active_encoders = list(shares), encoders and list(encoders)
        self.config.validate_power_fields()

    def set_speed(self, speed: float) -> None:
        """Retain what the config's ``speeds`` have for the least speed-up that is at least ``speed``.

        Raises:
            ConfigError: If the model is not that fast at any setting, or has one speed only.
        """
        for entry in self.config.speeds or ():
            if entry["speed"] >= speed:
                if "label_thresholds" in entry:
                    self.config.label_thresholds = entry["label_thresholds"]
                return self.set_retention(entry["shares"], entry["encoders"])
        known = ", ".join(f"{entry['speed']:g}" for entry in self.config.speeds or ())
        raise ConfigError(f"speed: {speed:g} is beyond the model's speeds ({known or 'it has only one'})")

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *others: Any,
        **kwargs: Any,
    ) -> Any:
        """Run the host's ``forward``, or ``eliminate`` if the model eliminates or has lost heads.

        It takes the host's arguments, in the host's order.
        """
        if others:
            names = list(signature(super().forward).parameters)[2:]  # type: ignore[misc]
            kwargs |= dict(zip(names, others, strict=False))
        if not self.config.eliminates and self.config.encoder_heads is None and not self._checkpoints():
            return super().forward(input_ids, attention_mask, **kwargs)  # type: ignore[misc]
        inputs = {name: kwargs.pop(name, None) for name in EMBEDDED} | {"input_ids": input_ids}
        inputs = {name: value for name, value in inputs.items() if value is not None}
        embeddings, ends = self.embed(**inputs), None
        if self.config.protected_until is not None and not embeddings.is_meta:
            if input_ids is None:
                raise ValueError("protected_until: the end of the first text is known by input_ids alone")
            ends = (input_ids == self.config.protected_until).int().argmax(dim=1, keepdim=True)
        return self.eliminate(embeddings, attention_mask, ends, **kwargs)

    def _checkpoints(self: Any) -> bool:
        """Return whether activations are computed again for the backward pass instead of being kept."""
        return self.training and self.gradient_checkpointing

    def eliminate(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None,
        ends: Tensor | None = None,
        *,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        output_retained: bool = False,
        **_: Any,
    ) -> PowerModelOutput:
        """Run the encoders with extract layers (retention configuration), soft-extract layers, or neither.

        Embeddings are [B, N, D]; the mask, [B, N], is non-zero where a word is real; ``ends`` are where first
        texts end whose words are protected, [B, 1].

        Raises:
            ValueError: If the mask has another shape, attention matrices are asked for, or the model is being
                traced by torch.jit.
        """
        if torch.jit.is_tracing():
            raise ValueError(
                "torch.jit.trace would fix what a model that eliminates word-vectors retains to its example; "
                "use torch.export, or python -m powerbert.export"
            )
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
        hosts = self.hosts()
        if guard_or_false(hidden.shape[0] == 0):
            return self._empty(hidden[:, :1], len(hosts), bool(output_hidden_states), output_retained)
        retaining = Retaining.of_batch(self, words, mask)
        travel = output_retained or ends is not None or any(host.relate is not None for host in hosts)
        places = in_order(hidden) if travel else None
        hidden_states, retained = [], []
        for encoder, host in enumerate(hosts):
            if output_hidden_states:
                hidden_states.append(row_of_cls(hidden, mask) if self.only_cls_states else hidden)
            protected = None if ends is None or places is None else places < ends
            given = Given(hidden, mask, places, protected)
            if self._checkpoints():
                hidden, mask, selected = self._gradient_checkpointing_func(
                    retaining.run, encoder, host, given
                )
            else:
                hidden, mask, selected = retaining.run(encoder, host, given)
            places = None if places is None else places_after(places, selected)
            if output_retained:
                assert places is not None
                real = torch.ones_like(places, dtype=torch.bool) if mask is None else mask
                retained.append(Retained(places, real))
        hidden = self.finish(hidden)
        cls = row_of_cls(hidden, mask)
        if output_hidden_states:
            hidden_states.append(cls if self.only_cls_states else hidden)
        return PowerModelOutput(
            last_hidden_state=cls if self.only_cls else hidden,
            pooler_output=self.pool(cls),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            retained=tuple(retained) if output_retained else None,
        )

    def _empty(self, cls: Tensor, encoders: int, hidden_states: bool, retained: bool) -> PowerModelOutput:
        """Return the output for no inputs, in which every encoder retains [CLS], [0, 1, D], alone."""
        alone = Retained(cls[..., 0].long(), cls[..., 0].bool())
        return PowerModelOutput(
            last_hidden_state=cls,
            pooler_output=self.pool(cls),
            hidden_states=(cls,) * (encoders + 1) if hidden_states else None,
            retained=(alone,) * encoders if retained else None,
        )

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, SoftExtract):
            initialization.ones_(module.retention_parameters)
        elif isinstance(module, SoftThreshold):
            initialization.zeros_(module.thresholds)
        elif isinstance(module, StaticSelection):
            initialization.copy_(module.places, module.inverse_order())
