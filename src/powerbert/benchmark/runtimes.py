"""The ways to run a model: PyTorch in several formats, packed for oneDNN, compiled, and ONNX Runtime."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from powerbert.measure.latency import Batch
from powerbert.models import pack_linear_layers

Forward = Callable[[Batch], object]
"""A forward pass on a batch that lies on the device."""

Make = Callable[[str], PreTrainedModel]
"""Makes the model, in float32 on the CPU; a host with one of transformers' implementations of attention. It
is shared with others and must not be changed."""


@dataclass(frozen=True)
class Place:
    """Where a model runs.

    Attributes:
        device: of the batches.
        threads: of the CPU.
        folder: for exported files; each model has its own.
        token_types: whether the batches have `token_type_ids`.
    """

    device: torch.device
    threads: int
    folder: Path
    token_types: bool


@dataclass(frozen=True)
class Runtime(ABC):
    """A way to run a model.

    Attributes:
        name: on the command line.
        label: for people.
        host_only: whether PoWER-BERT has no such runtime: it has an attention of its own.
        fused: whether a host's attention matrices are never written to memory.
    """

    name: str
    label: str
    host_only: bool = False
    fused: bool = True

    def unavailable(self, device: torch.device) -> str | None:
        """Why it cannot be had on a device; None if it can."""
        return None

    @abstractmethod
    def build(self, make: Make, place: Place) -> Forward:
        """The forward pass of a model.

        Args:
            make: makes the model.
            place: where it is to run.
        """


@dataclass(frozen=True)
class Torch(Runtime):
    """PyTorch, operation by operation.

    Attributes:
        attention: transformers' implementation.
        dtype: of weights and activations.
    """

    attention: str = "sdpa"
    dtype: torch.dtype = torch.float32

    def build(self, make: Make, place: Place) -> Forward:
        """The model itself on the device, in the format."""
        model = self.model(make, place)
        return lambda batch: model(**batch)

    def model(self, make: Make, place: Place) -> Any:
        """The model on the device, in the format; on the CPU in float32 the shared one."""
        model: Any = make(self.attention)
        if place.device == model.device and self.dtype == model.dtype:
            return model
        return copy.deepcopy(model).to(place.device, self.dtype)


@dataclass(frozen=True)
class Packed(Torch):
    """PyTorch with weights packed for oneDNN, on the CPU."""

    def unavailable(self, device: torch.device) -> str | None:
        """It needs the CPU, and a PyTorch with oneDNN."""
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}"
        return None if torch.backends.mkldnn.is_available() else "this PyTorch was built without oneDNN"

    def build(self, make: Make, place: Place) -> Forward:
        """A copy of the model; all but its linear layers' weights is shared."""
        packed = pack_linear_layers(self.model(make, place))
        return lambda batch: packed(**batch)


@dataclass(frozen=True)
class Compiled(Torch):
    """`torch.compile`: for the first shape of a batch, then for any; on a GPU with CUDA graphs."""

    def build(self, make: Make, place: Place) -> Forward:
        """The compiled model; it is compiled in its first passes."""
        import torch._dynamo.config as dynamo  # only here: it takes seconds

        dynamo.recompile_limit = 1000  # beyond it the model would be timed uncompiled
        mode = "default" if place.device.type == "cpu" else "reduce-overhead"
        compiled = torch.compile(self.model(make, place), mode=mode)
        return lambda batch: compiled(**batch)


@dataclass(frozen=True)
class Onnx(Runtime):
    """ONNX Runtime on the CPU.

    Attributes:
        quantization: the format; None for float32.
    """

    fused: bool = False
    quantization: Literal["int8", "float16"] | None = None

    def unavailable(self, device: torch.device) -> str | None:
        """It needs its packages, and the CPU."""
        if find_spec("onnxruntime") is None:
            return 'it is not installed: pip install "powerbert[onnx]"'
        return None if device.type == "cpu" else f"it runs on the CPU here, not on {device.type}"

    def build(self, make: Make, place: Place) -> Forward:
        """A session with the exported model; it is exported once, and quantised once."""
        from powerbert.export import export_onnx, onnx_session, quantize_onnx

        file = exported = place.folder / "float32.onnx"
        if not exported.exists():
            place.folder.mkdir(parents=True, exist_ok=True)
            export_onnx(make("sdpa"), exported, token_type_ids=place.token_types)
        if self.quantization is not None:
            file = place.folder / f"{self.quantization}.onnx"
            if not file.exists():
                quantize_onnx(exported, file, self.quantization)
        session = onnx_session(file, place.threads)
        names = [given.name for given in session.get_inputs()]

        def forward(batch: Batch) -> object:
            if "attention_mask" not in batch:
                batch = batch | {"attention_mask": torch.ones_like(batch["input_ids"])}
            return session.run(["logits"], {name: batch[name].numpy() for name in names})

        return forward


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Torch("eager", "eager", host_only=True, fused=False, attention="eager"),
        Torch("sdpa", "sdpa"),
        Packed("onednn", "oneDNN"),
        Torch("bf16", "bfloat16", dtype=torch.bfloat16),
        Torch("float16", "float16", dtype=torch.float16),
        Compiled("compile", "compiled"),
        Compiled("compile_bf16", "compiled bfloat16", dtype=torch.bfloat16),
        Compiled("compile_float16", "compiled float16", dtype=torch.float16),
        Onnx("onnx", "ONNX"),
        Onnx("onnx_int8", "ONNX int8", quantization="int8"),
        Onnx("onnx_float16", "ONNX float16", quantization="float16"),
    )
}
"""All of them by name, in the order in which they are listed."""

BASELINE = "sdpa"
"""What a user would run today; everything is compared with the host there."""
