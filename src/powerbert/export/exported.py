"""An exported file in the place of the model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from powerbert.export.onnx_file import onnx_session


class Exported(nn.Module):
    """Called as the model is, and evaluated and timed as it is; on the CPU, for inference only.

    Args:
        names: Of the tensors that the file takes.
        run: From those tensors, in their order, to logits.
    """

    def __init__(self, names: Sequence[str], run: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.run = run
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # says which device this is on

    def forward(self, **batch: Tensor) -> SequenceClassifierOutput:
        """Logits of a batch; what of it the file does not take is left out."""
        return SequenceClassifierOutput(logits=self.run({name: batch[name] for name in self.names}))


def load_onnx(path: Path, threads: int | None = None) -> Exported:
    """Open an ONNX file.

    Args:
        path: Of a file of `export_onnx` or `quantize_onnx`.
        threads: As for `onnx_session`.
    """
    session = onnx_session(path, threads)

    def run(batch: dict[str, Tensor]) -> Tensor:
        (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})
        return torch.from_numpy(logits)

    return Exported([taken.name for taken in session.get_inputs()], run)


def load_torch(path: Path) -> Exported:
    """Open a program of `export_torch`."""
    program = torch.export.load(path)
    module: Any = program.module()
    return Exported(program.graph_signature.user_inputs, lambda batch: module(**batch))
