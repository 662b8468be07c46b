"""ONNX files in float32, int8 and float16, written and opened with the packages of the extra `onnx`.

A file contains all weights, up to protobuf's limit of 2 GB.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from powerbert.base.checks import check_choice
from powerbert.base.errors import ConfigError
from powerbert.export.graph import Exported

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""The packages of the extra `onnx`."""
OPSET = 20
"""Version of ONNX's operators: the first with both Gelu and LayerNormalization."""
AXES = {2: ("batch", "length"), 3: ("batch", "choices", "length")}
"""Names of an input's axes, by their number."""


def require_onnx() -> None:
    """Raise ConfigError, naming the extra `onnx`, unless all its packages are installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise ConfigError(
                f'format: onnx needs {package}, which is not installed: pip install "powerbert[onnx]"'
            )


def onnx_versions() -> dict[str, str | None]:
    """Return the version of each package of the extra; None for one that is not installed."""
    versions: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def export_onnx(program: ExportedProgram, path: Path) -> Path:
    """Write a float32 model, traced by `trace`, as an ONNX file, and return its path.

    The file takes the program's inputs, each of type int64 and shape [batch, length], or
    [batch, choices, length] for multiple choice. Its output is `logits`, [batch, outputs] or
    [batch, choices].

    Raises:
        ConfigError: If the packages are not installed.
    """
    require_onnx()
    from onnx_ir.passes import common as passes

    with _quiet():
        converted: Any = torch.onnx.export(
            program,
            input_names=list(program.graph_signature.user_inputs),
            output_names=["logits"],
            opset_version=OPSET,
            custom_translation_table=translations(),
            verbose=False,
        )
        shape = converted.model.graph.inputs[0].shape
        converted.rename_axes(dict(zip(shape, AXES[len(shape)], strict=True)))
        # Removes each node's source lines with their paths, and the copies of shared weights.
        passes.ClearMetadataAndDocStringPass()(converted.model)
        passes.DeduplicateInitializersPass(size_limit=2**31)(converted.model)
    converted.save(path)
    return path


def quantize_onnx(path: Path, target: Path, format: str) -> Path:
    """Write a smaller and faster variant of a float32 file.

    *int8*: the weights of all matrix products, with one scale per output, and their inputs at run time;
    everything else, significance included, stays in float32. *float16*: weights and activations, for
    accelerators; significance, softmax, inputs and logits stay in float32.

    Another format is a ConfigError.
    """
    formats: dict[str, Callable[[Path, Path], None]] = {"int8": _to_int8, "float16": _to_float16}
    check_choice("format", format, formats)
    with _quiet():
        formats[format](path, target)
    return target


def load_onnx(path: Path, threads: int | None = None) -> Exported:
    """Open a file of `export_onnx` or `quantize_onnx`; see `onnx_session`."""
    session = onnx_session(path, threads)

    def run(batch: dict[str, Tensor]) -> Tensor:
        (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})
        return torch.from_numpy(logits)

    return Exported([taken.name for taken in session.get_inputs()], run)


def onnx_session(path: Path, threads: int | None = None) -> Any:
    """Open an ONNX file as an `onnxruntime.InferenceSession` on the CPU.

    By default it computes with one thread per core. A ConfigError says that the packages are not installed.
    """
    require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Idle threads would otherwise spin for a while and slow PyTorch down.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def translations() -> dict[Any, Callable[..., Any]]:
    """Return ONNX forms of PyTorch operations that its exporter lacks, or writes at greater length."""
    import onnxscript

    op: Any = onnxscript.opset20

    def sort(scores: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        # TopK is stable too: of equal values the first comes first.
        length = op.Gather(op.Shape(scores), op.Constant(value_ints=[dim]))
        return op.TopK(scores, length, axis=dim, largest=int(descending), sorted=1)

    def attention(query: Any, key: Any, value: Any, attn_mask: Any = None, *_: Any, **__: Any) -> Any:
        scaled = op.Mul(query, float(query.shape[-1]) ** -0.5)
        scores = op.MatMul(scaled, op.Transpose(key, perm=[0, 1, 3, 2]))
        if attn_mask is not None:
            # The lowest finite number, not -inf: an input of padding alone gets even attention, not NaN.
            scores = op.Where(attn_mask, scores, torch.finfo(torch.float32).min)
        return op.MatMul(op.Softmax(scores, axis=-1), value)

    return {
        torch.ops.aten.sort.stable: sort,
        torch.ops.aten.scaled_dot_product_attention.default: attention,
    }


def _to_int8(path: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    able = torch.cpu.get_capabilities()
    x86 = able["architecture"] in ("x86_64", "x86")
    exact = any(able.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
    model = onnx.load(path)
    del model.graph.value_info[:]  # the noted shapes would contradict weights that get transposed
    quantize_dynamic(
        model,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=x86 and not exact,  # to 7 bits: sums of 8 bits overflow in older x86 instructions
        extra_options={"EnableSubgraph": True},  # the branches of a model with several speeds
    )


def _to_float16(path: Path, target: Path) -> None:
    import onnx
    from onnxruntime.transformers import float16

    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, "Softmax", "ReduceSum", "TopK", "ScatterElements"]
    converted = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True, op_block_list=blocked)
    onnx.save(converted, target)


@contextmanager
def _quiet() -> Iterator[None]:
    """Log only errors within the block: the converting packages warn of what is intended."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
