"""Trained models as files that run without this package: ONNX, and PyTorch's exported programs."""

from powerbert.export.exported import Exported, load_onnx, load_torch, onnx_session
from powerbert.export.graph import export_torch, trace
from powerbert.export.onnx_file import export_onnx, quantize_onnx

__all__ = [
    "Exported",
    "export_onnx",
    "export_torch",
    "load_onnx",
    "load_torch",
    "onnx_session",
    "quantize_onnx",
    "trace",
]
