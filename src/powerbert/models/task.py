"""The mixin that turns a host's model for a task into a power model, and what power models return.

Shapes: B inputs, K retained word-vectors, D hidden size.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from powerbert.elimination.soft_extract import SoftExtract


class Retained(NamedTuple):
    """The word-vectors that leave one encoder.

    Attributes:
        positions: Their positions in the model's input, increasing, [B, K].
        mask: True for a word, False for padding and for the filling of an input that retains fewer than K
            words, [B, K].
    """

    positions: Tensor
    mask: Tensor


@dataclass
class PowerModelOutput(BaseModelOutputWithPooling):
    """The output of a base model whose ``last_hidden_state`` is [B, K, D] and ``hidden_states`` grow shorter.

    Attributes:
        retained: The word-vectors that left each encoder, with ``output_retained=True``.
    """

    retained: tuple[Retained, ...] | None = None


class PowerTaskMixin:
    """Comes before the host class among the bases of a backbone's model for a task.

    Attributes:
        base_class: Makes the base model, which replaces the host's, from the config.
        reads_first_row: Whether the host's head reads row 0 of ``last_hidden_state`` instead of
            ``pooler_output``.
        after_saving: Is called with the model and its folder whenever it has been saved.
    """

    base_model: Any
    config: Any
    base_model_prefix: str
    base_class: Callable[[Any], nn.Module]
    reads_first_row = False
    supports_gradient_checkpointing = True
    after_saving: ClassVar[Callable[[Any, Any], object]] = staticmethod(lambda model, folder: None)

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        setattr(self, self.base_model_prefix, self.base_class(config))
        self.base_model.only_cls = self.reads_first_row
        self.post_init()  # type: ignore[attr-defined]
        self._tell_peft()

    def _tell_peft(self: Any) -> None:
        """Let peft adapt queries and values by default; it knows model types of transformers alone."""
        peft = sys.modules.get("peft.utils.constants")
        if peft is None or not self.config.eliminates:
            return
        hosts = self.base_model.hosts()
        linear = {getattr(part, "whole", part) for host in hosts for part in (host.query, host.value)}
        names = {name.rpartition(".")[2] for name, module in self.named_modules() if module in linear}
        known = peft.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
        known[self.config.model_type] = sorted(names)

    def save_pretrained(self: Any, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save as transformers does, and call ``after_saving``."""
        super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
        if kwargs.get("is_main_process", True):
            type(self).after_saving(self, save_directory)

    def classify(self: Any, cls: Tensor) -> Tensor:
        """Compute logits, [B, outputs], from the last word-vector of [CLS], [B, 1, D].

        It uses nothing but the host's own modules, and is also called with a host model as self.
        """
        return self.classifier(cls)

    @property
    def soft_extract(self) -> SoftExtract | None:
        """The retention parameters of a model that searches, else None."""
        return self.base_model.soft_extract

    @property
    def speeds(self) -> tuple[float, ...]:
        """What ``set_speed`` can be given: the expected speed-ups, increasing; none if there is one speed."""
        return tuple(entry["speed"] for entry in self.config.speeds or ())  # type: ignore[attr-defined]

    def set_speed(self, speed: float) -> None:
        """See the base model's ``set_speed``."""
        self.base_model.set_speed(speed)

    @torch.no_grad()
    def retained_word_vectors(self, **inputs: Tensor) -> tuple[Retained, ...]:
        """Return which word-vectors leave each encoder; in multiple choice, each choice counts as an input.

        Raises:
            ValueError: If the model has neither a retention configuration nor soft-extract layers.
        """
        if not self.config.eliminates:
            raise ValueError("the model eliminates nothing: its config has no retention_configuration")
        sequences = {name: value.flatten(0, -2) for name, value in inputs.items()}
        return self.base_model(**sequences, output_retained=True).retained
