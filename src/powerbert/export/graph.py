"""A model as one graph for batches of any size and length, as ``torch.export`` traces it.

How many word-vectors an encoder retains of a batch of N is then the symbol Min(l_j, N).

Shapes: B inputs, C choices of each (multiple choice only), N word pieces.
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
"""Word pieces of the shortest input, [CLS] and [SEP]: a graph for 1 as well would have to broadcast it."""


class Logits(nn.Module):
    """What is exported of a model: its logits, from tensors to a tensor.

    Args:
        model: For sequence classification, regression or multiple choice.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """From word pieces, [B, N] or [B, C, N], to logits, [B, outputs] or [B, C]."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        model: Any = self.model
        return model(
            input_ids=input_ids, attention_mask=attention_mask, **types, return_dict=True
        ).logits.float()


def input_names(token_type_ids: bool) -> list[str]:
    """The inputs of an exported model, in order; the mask is 1 where a word piece is real, 0 for padding."""
    return ["input_ids", "attention_mask", *(["token_type_ids"] if token_type_ids else [])]


def takes_choices(model: PreTrainedModel) -> bool:
    """Whether the model is for multiple choice."""
    return type(model).__name__.endswith("ForMultipleChoice")


def dimensions(model: PreTrainedModel, max_length: int | None = None) -> list[Dim]:
    """The dimensions of each input, none of them fixed: batch, choices (of multiple choice) and length.

    Args:
        model: For sequence classification, regression or multiple choice.
        max_length: Word pieces of the longest input; as many as the model has positions for by default.
    """
    length = Dim("length", min=SHORTEST, max=max_length or longest_input(model.config))
    choices = [Dim("choices", min=1)] if takes_choices(model) else []
    return [Dim("batch", min=1), *choices, length]


def trace(model: PreTrainedModel, *, token_type_ids: bool, max_length: int | None = None) -> ExportedProgram:
    """Trace a model's way from word pieces to logits.

    Args:
        model: A host or power model of a task, of any backbone; its mode and weights stay as they are.
        token_type_ids: Whether the graph takes them; without, all are 0.
        max_length: Word pieces of the longest input; as many as the model has positions for by default.

    Returns:
        The program, for evaluation, on the model's device: from ``input_names(token_type_ids)``, given by
        name, to logits. An encoder that retains ``max_length`` word-vectors has no scores in it.
    """
    axes = dimensions(model, max_length)
    example = torch.ones(_example_sizes(model, axes), dtype=torch.long, device=model.device)
    inputs = {name: example.clone() for name in input_names(token_type_ids)}
    # Without this option, which torch.onnx sets too, the graph would hold neither for a batch of 1 nor for
    # lengths on the other side of an l_j.
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
    """Write a model as a program that ``torch.export.load(path).module()`` turns into a function.

    Args:
        model: As for ``trace``; in the precision that the program is to compute in.
        path: Of the file, by custom ``.pt2``.
        token_type_ids: As for ``trace``.
        max_length: As for ``trace``.

    Returns:
        The path.
    """
    program = trace(model, token_type_ids=token_type_ids, max_length=max_length)
    torch.export.save(program, path)
    return path


def _example_sizes(model: PreTrainedModel, axes: list[Dim]) -> list[int]:
    """Sizes of the traced example: no two equal, and the length no l_j, lest the tracer take two for one."""
    *others, length = axes
    sizes = [2, 3][: len(others)]
    taken = {*sizes, *(getattr(model.config, "retention_configuration", None) or ())}
    longest: int = length.max  # type: ignore[attr-defined]
    return [*sizes, next((n for n in range(longest - 1, SHORTEST, -1) if n not in taken), longest)]
