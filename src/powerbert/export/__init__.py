"""Trained models as files that run without this package: ONNX, and PyTorch's own exported programs."""

from powerbert.export.graph import export_torch, trace
from powerbert.export.onnx_file import export_onnx, onnx_session, quantize_onnx

__all__ = ["export_onnx", "export_torch", "onnx_session", "quantize_onnx", "trace"]
