"""Linear layers for inference on a CPU, with weights packed once for oneDNN.

PyTorch computes float32 products with the BLAS that it was built with, MKL in its own wheels. oneDNN, which
it also contains, takes weights packed in advance and is faster on some processors, most of all with the few
rows that elimination leaves (experiments/inference).
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from powerbert.models.backbone import host_encoders
from powerbert.models.encoder import Part


class PackedLinear(nn.Module):
    """A linear layer, [..., in_features] to [..., out_features], with float32 weights in oneDNN's layout."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.register_buffer("weight", packed, persistent=False)
        bias = None if linear.bias is None else linear.bias.detach()
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Multiply by the weights and add the bias."""
        return torch.ops.mkldnn._linear_pointwise(hidden, self.weight, self.bias, "none", [], "")

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("a model with packed layers cannot be saved; save the model that was packed")


def can_pack_linear_layers(model: nn.Module) -> bool:
    """Return whether a model is on the CPU and in float32, and this PyTorch has oneDNN."""
    return torch.backends.mkldnn.is_available() and all(
        parameter.device.type == "cpu" and parameter.dtype == torch.float32
        for parameter in model.parameters()
    )


def pack_linear_layers(model: nn.Module) -> Any:
    """Copy a host or power model with packed linear layers, in evaluation mode; logits differ by rounding.

    All other parameters are shared with the model. The copy can be neither trained nor saved. A model that
    cannot be packed raises ValueError.
    """
    if not can_pack_linear_layers(model):
        raise ValueError("linear layers are packed in float32 on the CPU, by a PyTorch with oneDNN")
    packed: Any = copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
    layers: dict[nn.Module, PackedLinear] = {}  # layers that several encoders share stay shared
    whole = [encoder.query.whole for encoder in host_encoders(packed) if isinstance(encoder.query, Part)]
    for module in list(packed.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear and child not in whole:  # packed weights cannot be taken apart
                if child not in layers:
                    layers[child] = PackedLinear(child)
                setattr(module, name, layers[child])
    return packed.eval()
