"""Models traced by `torch.export` into one graph for batches of any size and length, and opened again.

The number of word-vectors that an encoder retains of a batch of N is the symbol Min(l_j, N). A model with
several speeds becomes one graph too: the share that each encoder retains is an input, and which of them run
chooses a branch.

Shapes: B inputs, C choices per input (multiple choice only), N word pieces.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes_config
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from powerbert.base.errors import ModelError
from powerbert.elimination.configuration import SHARE_STEPS, retained_of_steps
from powerbert.measure.evaluation import evaluation_mode
from powerbert.models import classify, embed, host_encoders, longest_input, num_encoders
from powerbert.models.encoder import encode, encode_and_extract, in_order, places_after, position_of_cls
from powerbert.models.retaining import significance_of

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
        output = model(input_ids=input_ids, attention_mask=attention_mask, **types, return_dict=True)
        return output.logits.float()


class LogitsAtAnySpeed(nn.Module):
    """The exported part of a model that was trained for many shares, which are an input.

    Args:
        model: A power model whose config has `speeds`; those say which encoders run together.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.encoders = host_encoders(model)
        self.score = significance_of(model.config)
        self.running = sorted({tuple(entry["encoders"]) for entry in model.config.speeds})

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        shares: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Compute logits as `Logits`; NaN for shares of encoders that never run together.

        Args:
            shares: Of an input's real words that each encoder retains, float32, [L]; -1 for one that does not
                run. The last one that runs retains [CLS] alone.
        """
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids.flatten(0, -2)}
        hidden = embed(self.model, input_ids=input_ids.flatten(0, -2), **types)
        mask = attention_mask.flatten(0, -2).bool()
        steps = (shares * SHARE_STEPS).round().long()
        cls, known = torch.zeros_like(hidden[:, :1]), torch.zeros((), dtype=torch.bool)
        for running in self.running:
            here = torch.tensor([encoder in running for encoder in range(len(self.encoders))])
            chosen = ((shares >= 0) == here.to(shares.device)).all()
            (own,) = torch.cond(chosen, self._branch(running), _nothing, (hidden, mask, steps))
            cls, known = cls + own, known.to(chosen.device) | chosen
        logits = classify(self.model, cls, torch.ones_like(mask[:, :1])).float()
        logits = torch.where(known, logits, torch.nan)
        return logits.view(input_ids.shape[:-1]) if input_ids.dim() == 3 else logits

    def _branch(self, running: Sequence[int]) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor]]:
        """Return what runs these encoders, from embeddings to [CLS], [B, 1, D]."""

        def run(hidden: Tensor, mask: Tensor, steps: Tensor) -> tuple[Tensor]:
            lengths, longest, places = mask.sum(dim=1), mask.shape[1], in_order(hidden)
            for encoder in running[:-1]:
                own = retained_of_steps(steps[encoder], lengths)
                # A plain symbol from 2, which no operation takes for a size to broadcast.
                most = retained_of_steps(steps[encoder], torch.full_like(steps[encoder], longest))
                k = most.clamp(min=SHORTEST).clamp(max=hidden.shape[1]).item()
                torch._check(k >= SHORTEST)
                torch._check(k <= hidden.shape[1])
                host = self.encoders[encoder]
                hidden, kept, selected = encode_and_extract(host, hidden, mask, k, self.score, own, places)
                assert kept is not None
                mask, places = kept, places_after(places, selected)
            first = position_of_cls(hidden, mask)
            return (encode(self.encoders[running[-1]], hidden, mask, first, places=places).clone(),)

        return run


def _nothing(hidden: Tensor, mask: Tensor, steps: Tensor) -> tuple[Tensor]:
    return (torch.zeros_like(hidden[:, :1]),)


def shares_of(model: PreTrainedModel, speed: float) -> Tensor:
    """Return what `LogitsAtAnySpeed` takes as shares for one of a model's speeds, [L]."""
    entry = next(entry for entry in model.config.speeds if entry["speed"] == speed)
    shares = torch.full((num_encoders(model.config),), -1.0)
    shares[entry["encoders"]] = torch.tensor(entry["shares"], dtype=torch.float32)
    return shares


def task_kind(model: PreTrainedModel) -> str:
    """Return the key of `TASKS` that a model is for."""
    choices = type(model).__name__.endswith("ForMultipleChoice")
    return "multiple_choice" if choices else "sequence_classification"


def trace(
    model: PreTrainedModel,
    *,
    token_type_ids: bool,
    max_length: int | None = None,
    any_speed: bool = False,
) -> ExportedProgram:
    """Trace a model from word pieces to logits; its mode and weights do not change.

    `torch.export.save` writes the program to a file.

    Args:
        model: A host or power model for a task, of any backbone.
        token_type_ids: Whether the graph takes them; without, all are 0.
        max_length: Word pieces of the longest input; the number of the model's positions by default.
        any_speed: Whether the graph takes `shares`, see `LogitsAtAnySpeed`; the model has several speeds.

    Returns:
        The program in evaluation mode on the model's device. It takes by name `input_ids`, `attention_mask`
        (1 for a real word piece, 0 for padding), and `token_type_ids` and `shares` if asked for. An encoder
        that retains `max_length` word-vectors computes no significance.

    Raises:
        ModelError: If the number of word-vectors depends on the words, which a graph cannot express.
    """
    if getattr(model.config, "retention_thresholds", None) is not None:
        raise ModelError(
            "a model with retention_thresholds (method=ltp) cannot be exported: how many word-vectors it "
            "retains depends on the words of its input"
        )
    longest = max_length or longest_input(model.config)
    axes = [Dim("batch", min=1), Dim("length", min=SHORTEST, max=longest)]
    sizes = [2]
    if task_kind(model) == "multiple_choice":
        axes.insert(1, Dim("choices", min=1))
        sizes.append(3)
    # The tracer takes equal sizes for one dimension: the example's length differs from all other sizes.
    taken = {*sizes, *(getattr(model.config, "retention_configuration", None) or ())}
    sizes.append(next((n for n in range(longest - 1, SHORTEST, -1) if n not in taken), longest))
    example = torch.ones(sizes, dtype=torch.long, device=model.device)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if token_type_ids else [])]
    inputs = {name: example.clone() for name in names}
    shapes: dict[str, Any] = {name: dict(enumerate(axes)) for name in names}
    if any_speed:
        inputs["shares"] = shares_of(model, model.config.speeds[0]["speed"]).to(model.device)
        shapes["shares"] = None
    # torch.onnx sets this option too: the graph must hold for a batch of 1 and on both sides of every l_j.
    any_size = symbolic_shapes_config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with torch.no_grad(), evaluation_mode(model), any_size:
        part = LogitsAtAnySpeed(model) if any_speed else Logits(model)
        return torch.export.export(part, (), inputs, dynamic_shapes=shapes, strict=False)


class Exported(nn.Module):
    """An opened file that is called, evaluated and timed like its model; on the CPU, for inference only.

    Attributes:
        names: The tensors that the file takes, in order.
        run: From those tensors to logits.
        shares: What a file that takes shares is given, where a batch has none; see `shares_of`.
    """

    shares: Tensor | None = None

    def __init__(self, names: Sequence[str], run: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.run = run
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # tells callers the device

    def forward(self, **batch: Tensor) -> SequenceClassifierOutput:
        """Return the logits of a batch.

        Tensors that the file does not take are ignored. Without `attention_mask` every word piece is real.
        """
        if "attention_mask" not in batch:
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        if self.shares is not None:
            batch.setdefault("shares", self.shares)
        return SequenceClassifierOutput(logits=self.run({name: batch[name] for name in self.names}))


def load_torch(path: Path, threads: int | None = None) -> Exported:
    """Open a saved program of `trace`; PyTorch uses the threads of the process, whatever `threads` says."""
    program = torch.export.load(path)
    module: Any = program.module()
    return Exported(program.graph_signature.user_inputs, lambda batch: module(**batch))
