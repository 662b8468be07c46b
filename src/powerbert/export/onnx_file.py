"""Models as ONNX files in float32, int8 and float16, with the packages of the extra `onnx`.

A file contains all weights, up to protobuf's limit of 2 GB.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from powerbert.base.checks import check_choice
from powerbert.export.exported import require
from powerbert.export.graph import dimensions, input_names, trace

OPSET = 20
"""Version of ONNX's operators: the first with both Gelu and LayerNormalization."""


def export_onnx(
    model: PreTrainedModel, path: Path, *, token_type_ids: bool, max_length: int | None = None
) -> Path:
    """Write a float32 model as an ONNX file; see `trace` for the arguments.

    Returns:
        The path. The file takes `input_ids`, `attention_mask` and, if asked for, `token_type_ids`, each of
        type int64 and shape [batch, length], or [batch, choices, length] for multiple choice. Its output is
        `logits`, [batch, outputs] or [batch, choices].

    Raises:
        ConfigError: If the packages are not installed.
    """
    require("onnx", "onnxscript")
    from onnx_ir.passes import common as passes

    program = trace(model, token_type_ids=token_type_ids, max_length=max_length)
    with _quiet():
        converted: Any = torch.onnx.export(
            program,
            input_names=input_names(token_type_ids),
            output_names=["logits"],
            opset_version=OPSET,
            custom_translation_table=translations(),
            verbose=False,
        )
    shape = converted.model.graph.inputs[0].shape
    axes = [axis.__name__ for axis in dimensions(model)]
    converted.rename_axes(dict(zip(shape, axes, strict=True)))
    with _quiet():
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

    Args:
        path: A file of `export_onnx`.
        target: The file to write.
        format: `int8` or `float16`.

    Raises:
        ConfigError: If the format is another, or the packages are not installed.
    """
    formats: dict[str, Callable[[Path, Path], None]] = {"int8": _to_int8, "float16": _to_float16}
    check_choice("format", format, formats)
    require("onnx", "onnxruntime", "sympy")
    formats[format](path, target)
    return target


def translations() -> dict[Any, Callable[..., Any]]:
    """Return ONNX forms of PyTorch operations that its exporter lacks, or writes at greater length."""
    op: Any = importlib.import_module("onnxscript").opset20

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

    model = onnx.load(path)
    del model.graph.value_info[:]  # the noted shapes would contradict weights that get transposed
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
    """Let the converting packages log only errors within the block."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", None)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
