"""Models to time: the host and PoWER-BERT, each on several runtimes."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.base.files import file_name
from powerbert.benchmark.pair import Pair, Retention
from powerbert.export import export_onnx, load_onnx, quantize_onnx, trace
from powerbert.export.onnx_file import require_onnx
from powerbert.measure.latency import Batch
from powerbert.models import pack_linear_layers


@dataclass(frozen=True)
class Runtime:
    """A way to run a model.

    Attributes:
        label: Name in tables.
        colour: Colour in figures.
        kind: *torch* runs a model operation by operation, *packed* with the weights of linear layers packed
            for oneDNN on the CPU, *compiled* by `torch.compile`, and *onnx* in ONNX Runtime on the CPU.
        precision: Format of the weights and activations, or the quantisation of an ONNX file.
        attention: transformers' attention implementation of the host. With *eager* only the host runs:
            PoWER-BERT has its own attention.
    """

    label: str
    colour: str
    kind: Literal["torch", "packed", "compiled", "onnx"] = "torch"
    precision: str = "float32"
    attention: Literal["sdpa", "eager"] = "sdpa"

    def build(self, model: PreTrainedModel, batch: Batch, folder: Path) -> Any:
        """Return a module that takes a batch's tensors by name.

        Args:
            model: In float32 on the CPU; other runtimes share it, so it is not changed.
            batch: An example of what the module takes, on the device where it runs.
            folder: Folder for exported files of this model, which are reused.

        Raises:
            ConfigError: If the runtime is not available on the device, or not installed.
        """
        device = batch["input_ids"].device
        if self.kind in ("packed", "onnx") and device.type != "cpu":
            raise ConfigError(f"it runs on the CPU here, not on {device.type}")
        if self.kind == "packed":
            if not torch.backends.mkldnn.is_available():
                raise ConfigError("this PyTorch was built without oneDNN")
            return pack_linear_layers(model)
        if self.kind == "onnx":
            exported, file = folder / "float32.onnx", folder / f"{self.precision}.onnx"
            if not exported.exists():
                require_onnx()
                folder.mkdir(parents=True, exist_ok=True)
                export_onnx(trace(model, token_type_ids="token_type_ids" in batch), exported)
            if not file.exists():
                quantize_onnx(exported, file, self.precision)
            return load_onnx(file, torch.get_num_threads())
        moved: Any = model
        dtype = getattr(torch, self.precision)
        if (model.device, model.dtype) != (device, dtype):
            moved = copy.deepcopy(moved).to(device, dtype)
        if self.kind == "torch":
            return moved
        import torch._dynamo.config as dynamo  # takes seconds

        dynamo.recompile_limit = 1000  # beyond the limit the model would run uncompiled
        return torch.compile(moved, mode="default" if device.type == "cpu" else "reduce-overhead")


RUNTIMES: dict[str, Runtime] = {
    "eager": Runtime("eager", "#6B6B6B", attention="eager"),
    "sdpa": Runtime("sdpa", "#0072B2"),
    "onednn": Runtime("oneDNN", "#332288", "packed"),
    "bf16": Runtime("bfloat16", "#56B4E9", precision="bfloat16"),
    "float16": Runtime("float16", "#882255", precision="float16"),
    "compile": Runtime("compiled", "#009E73", "compiled"),
    "compile_bf16": Runtime("compiled bfloat16", "#44AA99", "compiled", "bfloat16"),
    "compile_float16": Runtime("compiled float16", "#8C6D46", "compiled", "float16"),
    "onnx": Runtime("ONNX", "#E69F00", "onnx"),
    "onnx_int8": Runtime("ONNX int8", "#D55E00", "onnx", "int8"),
    "onnx_float16": Runtime("ONNX float16", "#CC79A7", "onnx", "float16"),
}
"""All runtimes by name, in the order of tables; colours for colour-blind readers (Okabe and Ito, Tol)."""

BASELINE = "sdpa"
"""Runtime of the host that everything is compared with: transformers' default."""


@dataclass(frozen=True)
class Contestant:
    """The host or PoWER-BERT on a runtime, a key of `RUNTIMES`."""

    role: Literal["host", "power"]
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
        runtime = RUNTIMES[self.runtime]
        return self.role == "host" and runtime.attention == "sdpa" and runtime.kind != "onnx"

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
    both = [name for name in chosen if RUNTIMES[name].attention != "eager"]
    return [Contestant("host", name) for name in chosen] + [Contestant("power", name) for name in both]
