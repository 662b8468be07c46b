"""A model traced by ``torch.export`` as one graph for batches of any size and length.

The number of word-vectors that an encoder retains of a batch of N is the symbol Min(l_j, N).

Shapes: B inputs, C choices per input (multiple choice only), N word pieces.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes_config
from transformers import PreTrainedModel

from powerbert.measure.evaluation import evaluation_mode
from powerbert.models import longest_input

SHORTEST = 2
"""Word pieces of the shortest input, [CLS] and [SEP]; a graph that also took 1 would have to broadcast it."""


class Logits(nn.Module):
    """The exported part of a model for sequence classification, regression or multiple choice."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """From word pieces, [B, N] or [B, C, N], to logits in float32, [B, outputs] or [B, C]."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        model: Any = self.model
        return model(
            input_ids=input_ids, attention_mask=attention_mask, **types, return_dict=True
        ).logits.float()


def input_names(token_type_ids: bool) -> list[str]:
    """Return an exported model's inputs in order; the mask is 1 for a real word piece, 0 for padding."""
    return ["input_ids", "attention_mask", *(["token_type_ids"] if token_type_ids else [])]


def takes_choices(model: PreTrainedModel) -> bool:
    """Return whether the model is for multiple choice."""
    return type(model).__name__.endswith("ForMultipleChoice")


def dimensions(model: PreTrainedModel, max_length: int | None = None) -> list[Dim]:
    """Return the variable dimensions of each input: batch, choices (multiple choice only) and length."""
    length = Dim("length", min=SHORTEST, max=max_length or longest_input(model.config))
    choices = [Dim("choices", min=1)] if takes_choices(model) else []
    return [Dim("batch", min=1), *choices, length]


def trace(model: PreTrainedModel, *, token_type_ids: bool, max_length: int | None = None) -> ExportedProgram:
    """Trace a model from word pieces to logits; its mode and weights do not change.

    Args:
        model: A host or power model for a task, of any backbone.
        token_type_ids: Whether the graph takes them; without, all are 0.
        max_length: Word pieces of the longest input; the number of the model's positions by default.

    Returns:
        The program in evaluation mode on the model's device; it takes ``input_names(token_type_ids)`` by
        name. An encoder that retains ``max_length`` word-vectors computes no significance.
    """
    axes = dimensions(model, max_length)
    example = torch.ones(_example_sizes(model, axes), dtype=torch.long, device=model.device)
    inputs = {name: example.clone() for name in input_names(token_type_ids)}
    # torch.onnx sets this option too: the graph must hold for a batch of 1 and on both sides of every l_j.
    any_size = symbolic_shapes_config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with torch.no_grad(), evaluation_mode(model), any_size:
        return torch.export.export(
            Logits(model),
            (),
            inputs,
            dynamic_shapes={name: dict(enumerate(axes)) for name in inputs},
            strict=False,
        )


def export_torch(
    model: PreTrainedModel, path: Path, *, token_type_ids: bool, max_length: int | None = None
) -> Path:
    """Write a model, in its own precision, for ``torch.export.load(path).module()``; see `trace`."""
    program = trace(model, token_type_ids=token_type_ids, max_length=max_length)
    torch.export.save(program, path)
    return path


def _example_sizes(model: PreTrainedModel, axes: list[Dim]) -> list[int]:
    """Choose distinct sizes, the length none of the l_j: the tracer takes equal numbers for one dimension."""
    *others, length = axes
    sizes = [2, 3][: len(others)]
    taken = {*sizes, *(getattr(model.config, "retention_configuration", None) or ())}
    longest: int = length.max  # type: ignore[attr-defined]
    return [*sizes, next((n for n in range(longest - 1, SHORTEST, -1) if n not in taken), longest)]
