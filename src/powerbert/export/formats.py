"""The file formats as peers: the precisions of each, and how its files are written, opened and used."""

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.export.graph import Exported, load_torch, trace
from powerbert.export.onnx_file import export_onnx, load_onnx, quantize_onnx, require_onnx


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: The value of `format=`.
        refused: Precisions it does not support, with the reason and what to use instead.
        write: Writes a float32 model on the CPU to the path of each precision; takes also the settings of
            `trace`.
        load: Opens a file for a number of threads; None leaves the number to the runtime.
        usage: Python code that labels a text with the file `{path}` in the folder `{folder}`.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...]
    refused: Mapping[str, str]
    write: Callable[..., None]
    load: Callable[[Path, int | None], Exported]
    usage: str

    def check(self, precisions: Sequence[str]) -> None:
        """Raise ConfigError for a precision that is not supported, or a package that is missing."""
        for precision in precisions:
            if precision in self.refused:
                reason = self.refused[precision]
                raise ConfigError(f"precision: {precision} with format={self.name}: {reason}")
            if precision not in self.precisions:
                known = ", ".join(self.precisions)
                raise ConfigError(f"precision: {precision!r} is unknown; format={self.name} has {known}")
        if self.name == "onnx":
            require_onnx()

    def file_name(self, precision: str) -> str:
        """Return the name of a precision's file: `model.onnx`, `model_int8.onnx`."""
        return f"model{'' if precision == 'float32' else f'_{precision}'}{self.suffix}"


def write_onnx(model: PreTrainedModel, paths: Mapping[str, Path], **settings: Any) -> None:
    """Write ONNX files; the variants come from the float32 file, which is kept only if asked for."""
    with tempfile.TemporaryDirectory(dir=next(iter(paths.values())).parent) as scratch:
        base = paths.get("float32", Path(scratch) / "float32.onnx")
        export_onnx(trace(model, **settings), base)
        for precision, path in paths.items():
            if precision != "float32":
                quantize_onnx(base, path, precision)


def write_torch(model: PreTrainedModel, paths: Mapping[str, Path], **settings: Any) -> None:
    """Write exported programs, each from a copy of the model in its precision."""
    for precision, path in paths.items():
        converted: Any = copy.deepcopy(model).to(getattr(torch, precision))
        torch.export.save(trace(converted, **settings), path)


ONNX = Format(
    name="onnx",
    suffix=".onnx",
    precisions=("float32", "int8", "float16"),
    refused={
        "bfloat16": "ONNX Runtime has hardly any bfloat16 kernels for the CPU; use precision=int8, or "
        "format=torch_export precision=bfloat16"
    },
    write=write_onnx,
    load=load_onnx,
    usage="""\
import onnxruntime
from transformers import AutoTokenizer

session = onnxruntime.InferenceSession({path!r})
tokenizer = AutoTokenizer.from_pretrained({folder!r})
batch = tokenizer(["A joy to watch."], truncation=True, padding=True, return_tensors="np")
(logits,) = session.run(None, dict(batch))
""",
)

TORCH_EXPORT = Format(
    name="torch_export",
    suffix=".pt2",
    precisions=("float32", "bfloat16", "float16"),
    refused={"int8": "exported programs have no quantisation here; use format=onnx precision=int8"},
    write=write_torch,
    load=load_torch,
    usage="""\
import torch
from transformers import AutoTokenizer

model = torch.export.load({path!r}).module()
tokenizer = AutoTokenizer.from_pretrained({folder!r})
batch = tokenizer(["A joy to watch."], truncation=True, padding=True, return_tensors="pt")
logits = model(**batch)
""",
)

FORMATS: dict[str, Format] = {format.name: format for format in (ONNX, TORCH_EXPORT)}
