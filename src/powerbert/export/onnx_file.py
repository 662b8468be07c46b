"""Models as ONNX files: export, smaller formats, sessions that run them.

A file is complete in itself up to protobuf's limit of 2 GB. The packages are those of the extra `onnx`.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.export.graph import dimensions, input_names, trace

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OPSET = 20
"""Version of ONNX's operators: the first with Gelu and with LayerNormalization."""


def export_onnx(
    model: PreTrainedModel, path: Path, *, token_type_ids: bool, max_length: int | None = None
) -> Path:
    """Write a model as an ONNX file in float32.

    Args:
        model: A host or power model of a task, of any backbone, in float32.
        path: Of the file.
        token_type_ids: Whether the file takes them; without, all are 0.
        max_length: Word pieces of the longest input; as many as the model has positions for by default.

    Returns:
        The path. The file takes `input_ids`, `attention_mask` and, if asked for, `token_type_ids`, each of
        type int64 and shape [batch, length], or [batch, choices, length] for multiple choice. Its output is
        `logits`, [batch, outputs] or [batch, choices].

    Raises:
        ConfigError: If the packages are not installed.
    """
    require("onnx", "onnxscript")
    from onnx_ir.passes import common as passes

    names = input_names(token_type_ids)
    program = trace(model, token_type_ids=token_type_ids, max_length=max_length)
    with _quiet():
        converted: Any = torch.onnx.export(
            program,
            input_names=names,
            output_names=["logits"],
            opset_version=OPSET,
            custom_translation_table=translations(),
            verbose=False,
        )
    shape = converted.model.graph.inputs[0].shape
    axes = [axis.__name__ for axis in dimensions(model)]
    converted.rename_axes(dict(zip(shape, axes, strict=True)))
    with _quiet():
        # Gone are each node's lines of code with their paths, and the copies of weights that are shared.
        passes.ClearMetadataAndDocStringPass()(converted.model)
        passes.DeduplicateInitializersPass(size_limit=2**31)(converted.model)
    converted.save(path)
    return path


def quantize_onnx(path: Path, target: Path, format: Literal["int8", "float16"]) -> Path:
    """Write a smaller and faster variant of a float32 file.

    *int8*: the weights of all matrix products, one scale for each output, and their inputs at run time; all
    else, significance included, stays in float32. *float16*: weights and activations, for accelerators;
    inputs' significance and softmax stay in float32, and so do the logits.

    Args:
        path: Of a file of `export_onnx`.
        target: Of the file to write.
        format: `int8` or `float16`.

    Returns:
        The target.

    Raises:
        ConfigError: If the format is another, or the packages are not installed.
    """
    require("onnx", "onnxruntime", "sympy")
    formats: dict[str, Callable[[Path, Path], None]] = {"int8": _to_int8, "float16": _to_float16}
    if format not in formats:
        raise ConfigError(f"format: '{format}' is unknown; choose one of {', '.join(formats)}")
    formats[format](path, target)
    return target


def onnx_session(path: Path, threads: int | None = None) -> InferenceSession:
    """Open a file for inference on the CPU.

    Args:
        path: Of a file of `export_onnx` or `quantize_onnx`.
        threads: That compute; None leaves it to ONNX Runtime, which takes one for each core.

    Raises:
        ConfigError: If ONNX Runtime is not installed.
    """
    (onnxruntime,) = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Else its idle threads keep the cores busy for a while, at the cost of what PyTorch does meanwhile.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def require(*packages: str) -> list[Any]:
    """Import what the extra `onnx` installs.

    Raises:
        ConfigError: Naming the extra, if a package is missing.
    """
    try:
        return [importlib.import_module(package) for package in packages]
    except ImportError as error:
        raise ConfigError(
            f'format: onnx needs {error.name}, which is not installed: pip install "powerbert[onnx]"'
        ) from error


def translations() -> dict[Any, Callable[..., Any]]:
    """PyTorch's operations that its exporter does not know, or writes at greater length than they need."""
    op: Any = importlib.import_module("onnxscript").opset20

    def sort(scores: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        # Of equal values TopK, too, puts the one that stands first first.
        length = op.Gather(op.Shape(scores), op.Constant(value_ints=[dim]))
        return op.TopK(scores, length, axis=dim, largest=int(descending), sorted=1)

    def attention(query: Any, key: Any, value: Any, attn_mask: Any = None, *_: Any, **__: Any) -> Any:
        scaled = op.Mul(query, float(query.shape[-1]) ** -0.5)
        scores = op.MatMul(scaled, op.Transpose(key, perm=[0, 1, 3, 2]))
        if attn_mask is not None:
            # The least finite number, not -inf: an input of padding alone gets even attention instead of NaN.
            scores = op.Where(attn_mask, scores, torch.finfo(torch.float32).min)
        return op.MatMul(op.Softmax(scores, axis=-1), value)

    return {
        torch.ops.aten.sort.stable: sort,
        torch.ops.aten.scaled_dot_product_attention.default: attention,
    }


def _to_int8(path: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    # The shapes of weights that are transposed on the way would contradict those that are noted.
    del model.graph.value_info[:]
    with _quiet():
        quantize_dynamic(
            model, target, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
        )


def _to_float16(path: Path, target: Path) -> None:
    import onnx
    from onnxruntime.transformers import float16

    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, "Softmax", "ReduceSum", "TopK", "ScatterElements"]
    converted = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True, op_block_list=blocked)
    onnx.save(converted, target)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within the block, the packages that convert log errors only."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", None)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
