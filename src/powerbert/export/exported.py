"""Exported files, opened to run in place of the models that they were made from."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from powerbert.base.errors import ConfigError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Exported(nn.Module):
    """An exported file that is called, evaluated and timed like its model; on the CPU, for inference only.

    Attributes:
        names: The tensors that the file takes, in order.
        run: From those tensors to logits.
    """

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
        return SequenceClassifierOutput(logits=self.run({name: batch[name] for name in self.names}))


def load_onnx(path: Path, threads: int | None = None) -> Exported:
    """Open a file of `export_onnx` or `quantize_onnx`; see `onnx_session`."""
    session = onnx_session(path, threads)

    def run(batch: dict[str, Tensor]) -> Tensor:
        (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})
        return torch.from_numpy(logits)

    return Exported([taken.name for taken in session.get_inputs()], run)


def load_torch(path: Path, threads: int | None = None) -> Exported:
    """Open a file of `export_torch`; PyTorch uses the threads of the process, whatever `threads` says."""
    program = torch.export.load(path)
    module: Any = program.module()
    return Exported(program.graph_signature.user_inputs, lambda batch: module(**batch))


def onnx_session(path: Path, threads: int | None = None) -> InferenceSession:
    """Open an ONNX file for inference on the CPU.

    Args:
        path: A file of `export_onnx` or `quantize_onnx`.
        threads: Threads that compute; None for ONNX Runtime's default, one per core.

    Raises:
        ConfigError: If ONNX Runtime is not installed.
    """
    (onnxruntime,) = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Idle threads would otherwise spin for a while and slow PyTorch down.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def require(*packages: str) -> list[Any]:
    """Import packages of the extra `onnx`; a ConfigError names the extra if one is missing."""
    try:
        return [importlib.import_module(package) for package in packages]
    except ImportError as error:
        raise ConfigError(
            f'format: onnx needs {error.name}, which is not installed: pip install "powerbert[onnx]"'
        ) from error
