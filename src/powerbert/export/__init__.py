"""Trained models as files that run without this package: ONNX, and PyTorch's exported programs."""

from typing import TYPE_CHECKING

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.export.graph import Exported, load_torch, trace
    from powerbert.export.onnx_file import export_onnx, load_onnx, onnx_session, quantize_onnx

__all__ = ["Exported", "export_onnx", "load_onnx", "load_torch", "onnx_session", "quantize_onnx", "trace"]

lazy_package(__name__)
