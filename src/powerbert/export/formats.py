"""The formats as peers: which precisions each can be had in, and how files are written, opened and used."""

from __future__ import annotations

import copy
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.export.exported import Exported, load_onnx, load_torch
from powerbert.export.graph import export_torch
from powerbert.export.onnx_file import export_onnx, quantize_onnx, require


class Format(ABC):
    """One kind of file.

    Attributes:
        name: As `format=` has it.
        suffix: Of its files.
        precisions: That it can be had in.
        refused: Precisions that it cannot be had in, and why.
        usage: Python code that labels a text with the file `{path}`.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]]
    refused: ClassVar[Mapping[str, str]]
    usage: ClassVar[str]

    def check(self, precisions: Sequence[str]) -> None:
        """Refuse what cannot be had, before anything is loaded.

        Raises:
            ConfigError: Naming the key.
        """
        for precision in precisions:
            if precision in self.refused:
                raise ConfigError(
                    f"precision: {precision} with format={self.name}: {self.refused[precision]}"
                )
            if precision not in self.precisions:
                known = ", ".join(self.precisions)
                raise ConfigError(f"precision: '{precision}' is unknown; format={self.name} has {known}")

    def file_name(self, precision: str) -> str:
        """Name of the file of a precision: `model.onnx`, `model_int8.onnx`."""
        return f"model{'' if precision == 'float32' else f'_{precision}'}{self.suffix}"

    @abstractmethod
    def write(
        self, model: PreTrainedModel, folder: Path, precisions: Sequence[str], **settings: Any
    ) -> dict[str, Path]:
        """Write the model's files.

        Args:
            model: In float32, on the CPU.
            folder: For the files.
            precisions: Which ones to write.
            **settings: `token_type_ids` and `max_length` as of `trace`.

        Returns:
            The file of each precision.
        """

    @abstractmethod
    def load(self, path: Path, threads: int | None = None) -> Exported:
        """Open a file, for so many threads of the CPU; None leaves that to the runtime."""


class Onnx(Format):
    """ONNX files, for ONNX Runtime."""

    name = "onnx"
    suffix = ".onnx"
    precisions = ("float32", "int8", "float16")
    refused: ClassVar[Mapping[str, str]] = {
        "bfloat16": "ONNX Runtime has next to no bfloat16 kernels for the CPU; use precision=int8, or "
        "format=torch_export precision=bfloat16"
    }
    usage = """\
import onnxruntime
from transformers import AutoTokenizer

session = onnxruntime.InferenceSession({path!r})
tokenizer = AutoTokenizer.from_pretrained({folder!r})
batch = tokenizer(["A joy to watch."], truncation=True, padding=True, return_tensors="np")
(logits,) = session.run(None, dict(batch))
"""

    def check(self, precisions: Sequence[str]) -> None:
        """As of every format; the packages of the extra must be there, too."""
        super().check(precisions)
        require("onnx", "onnxscript", "onnxruntime")

    def write(
        self, model: PreTrainedModel, folder: Path, precisions: Sequence[str], **settings: Any
    ) -> dict[str, Path]:
        """The variants are made from the file in float32, which is not kept unless it is asked for."""
        paths = {precision: folder / self.file_name(precision) for precision in precisions}
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            base = export_onnx(model, paths.get("float32", Path(scratch) / "float32.onnx"), **settings)
            for precision, path in paths.items():
                if precision != "float32":
                    quantize_onnx(base, path, precision)  # type: ignore[arg-type]
        return paths

    def load(self, path: Path, threads: int | None = None) -> Exported:
        """A session of ONNX Runtime."""
        return load_onnx(path, threads)


class TorchExport(Format):
    """PyTorch's exported programs, for `torch.export.load`."""

    name = "torch_export"
    suffix = ".pt2"
    precisions = ("float32", "bfloat16", "float16")
    refused: ClassVar[Mapping[str, str]] = {
        "int8": "PyTorch's own quantisation is not part of it; use format=onnx precision=int8"
    }
    usage = """\
import torch
from transformers import AutoTokenizer

model = torch.export.load({path!r}).module()
tokenizer = AutoTokenizer.from_pretrained({folder!r})
batch = tokenizer(["A joy to watch."], truncation=True, padding=True, return_tensors="pt")
logits = model(**batch)
"""

    def write(
        self, model: PreTrainedModel, folder: Path, precisions: Sequence[str], **settings: Any
    ) -> dict[str, Path]:
        """Each from a copy of the model in that precision."""
        paths = {precision: folder / self.file_name(precision) for precision in precisions}
        for precision, path in paths.items():
            export_torch(copy.deepcopy(model).to(getattr(torch, precision)), path, **settings)
        return paths

    def load(self, path: Path, threads: int | None = None) -> Exported:
        """The program as a module; PyTorch's threads are those of the process."""
        return load_torch(path)


FORMATS: Mapping[str, Format] = {format.name: format for format in (Onnx(), TorchExport())}
"""The formats by name."""
