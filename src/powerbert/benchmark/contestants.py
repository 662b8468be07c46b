"""Models to time: the host and PoWER-BERT, each on several runtimes."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from powerbert.base.files import file_name
from powerbert.benchmark.pair import Pair, Retention
from powerbert.measure.latency import Batch
from powerbert.models import pack_linear_layers

Role = Literal["host", "power"]


@dataclass(frozen=True)
class Runtime(ABC):
    """A way to run a model.

    Attributes:
        name: Name on the command line.
        label: Name in tables.
        colour: Colour in figures.
        host_only: Whether it runs the host only, because PoWER-BERT has its own attention.
        fused: Whether the host's attention never writes its attention matrices to memory.
        attention: transformers' attention implementation of the host.
    """

    name: str
    label: str
    colour: str
    host_only: bool = False
    fused: bool = True
    attention: str = "sdpa"

    def unavailable(self, device: torch.device) -> str | None:
        """Say why the runtime is not available on a device; None if it is."""
        return None

    @abstractmethod
    def build(self, model: PreTrainedModel, batch: Batch, folder: Path) -> Any:
        """Return a module that takes a batch's tensors by name.

        Args:
            model: In float32 on the CPU; other runtimes share it, so it must not be changed.
            batch: An example of what the module takes, on the device where it runs.
            folder: Folder for exported files of this model.
        """


@dataclass(frozen=True)
class Torch(Runtime):
    """PyTorch, operation by operation, with weights and activations in one format."""

    dtype: torch.dtype = torch.float32

    def build(self, model: PreTrainedModel, batch: Batch, folder: Path) -> Any:
        """Return the model itself if device and format match, else a converted copy."""
        device = batch["input_ids"].device
        if device == model.device and self.dtype == model.dtype:
            return model
        moved: Any = copy.deepcopy(model)
        return moved.to(device, self.dtype)


@dataclass(frozen=True)
class Packed(Runtime):
    """PyTorch with the weights of linear layers packed for oneDNN, on the CPU."""

    def unavailable(self, device: torch.device) -> str | None:
        """Require the CPU and a PyTorch with oneDNN."""
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}"
        return None if torch.backends.mkldnn.is_available() else "this PyTorch was built without oneDNN"

    def build(self, model: PreTrainedModel, batch: Batch, folder: Path) -> Any:
        """Return a copy of the model; only the weights of its linear layers are copied."""
        return pack_linear_layers(model)


@dataclass(frozen=True)
class Compiled(Torch):
    """`torch.compile`: for the first shape of a batch, then for any; on a GPU with CUDA graphs."""

    def build(self, model: PreTrainedModel, batch: Batch, folder: Path) -> Any:
        """Return the model; compilation happens in its first passes."""
        import torch._dynamo.config as dynamo  # takes seconds

        dynamo.recompile_limit = 1000  # beyond the limit the model would run uncompiled
        mode = "default" if batch["input_ids"].device.type == "cpu" else "reduce-overhead"
        return torch.compile(super().build(model, batch, folder), mode=mode)


@dataclass(frozen=True)
class Onnx(Runtime):
    """ONNX Runtime on the CPU, in float32 or quantised."""

    fused: bool = False
    quantization: Literal["int8", "float16"] | None = None

    def unavailable(self, device: torch.device) -> str | None:
        """Require ONNX Runtime and the CPU."""
        if find_spec("onnxruntime") is None:
            return 'it is not installed: pip install "powerbert[onnx]"'
        return None if device.type == "cpu" else f"it runs on the CPU here, not on {device.type}"

    def build(self, model: PreTrainedModel, batch: Batch, folder: Path) -> Any:
        """Return the exported model; a file that is already in the folder is reused."""
        from powerbert.export import export_onnx, load_onnx, quantize_onnx

        file = exported = folder / "float32.onnx"
        if not exported.exists():
            folder.mkdir(parents=True, exist_ok=True)
            export_onnx(model, exported, token_type_ids="token_type_ids" in batch)
        if self.quantization is not None:
            file = folder / f"{self.quantization}.onnx"
            if not file.exists():
                quantize_onnx(exported, file, self.quantization)
        return load_onnx(file, torch.get_num_threads())


RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Torch("eager", "eager", "#6B6B6B", host_only=True, fused=False, attention="eager"),
        Torch("sdpa", "sdpa", "#0072B2"),
        Packed("onednn", "oneDNN", "#332288"),
        Torch("bf16", "bfloat16", "#56B4E9", dtype=torch.bfloat16),
        Torch("float16", "float16", "#882255", dtype=torch.float16),
        Compiled("compile", "compiled", "#009E73"),
        Compiled("compile_bf16", "compiled bfloat16", "#44AA99", dtype=torch.bfloat16),
        Compiled("compile_float16", "compiled float16", "#8C6D46", dtype=torch.float16),
        Onnx("onnx", "ONNX", "#E69F00"),
        Onnx("onnx_int8", "ONNX int8", "#D55E00", quantization="int8"),
        Onnx("onnx_float16", "ONNX float16", "#CC79A7", quantization="float16"),
    )
}
"""All runtimes by name, in the order of tables; colours for colour-blind readers (Okabe and Ito, Tol)."""

BASELINE = "sdpa"
"""Runtime of the host that everything is compared with: transformers' default."""


@dataclass(frozen=True)
class Contestant:
    """The host or PoWER-BERT on a runtime, a key of `RUNTIMES`."""

    role: Role
    runtime: str

    @property
    def label(self) -> str:
        """Name in tables."""
        if self.role == "host":
            return f"host, {RUNTIMES[self.runtime].label}"
        return "PoWER-BERT" if self.runtime == BASELINE else f"PoWER-BERT, {RUNTIMES[self.runtime].label}"

    @property
    def fused(self) -> bool:
        """Whether no attention matrix is ever written to memory."""
        return self.role == "host" and RUNTIMES[self.runtime].fused

    def build(self, pair: Pair, retention: Retention, batch: Batch, folder: Path) -> Any:
        """Build PoWER-BERT with a retention configuration, or the host; see `Runtime.build`."""
        runtime = RUNTIMES[self.runtime]
        if self.role == "host":
            return runtime.build(pair.host(runtime.attention), batch, folder / "host")
        return runtime.build(pair.power(retention), batch, folder / file_name("power", retention.name))


HOST = Contestant("host", BASELINE)
"""The host that every contestant is compared with."""
EAGER = Contestant("host", "eager")
"""The host that the paper compared with: it writes its attention matrices to memory."""
POWER = Contestant("power", BASELINE)


def contestants(runtimes: Sequence[str]) -> list[Contestant]:
    """List the host on each runtime, always with `HOST`, then PoWER-BERT on those that it can run on."""
    chosen = [name for name in RUNTIMES if name in runtimes or name == BASELINE]
    return [
        *(Contestant("host", name) for name in chosen),
        *(Contestant("power", name) for name in chosen if not RUNTIMES[name].host_only),
    ]
