"""Head importance against autograd, written out head by head and input by input; which heads stay."""

import pytest
import torch
from torch import nn

from powerbert.methods.head_prune import choose_heads, head_importance
from powerbert.models import unique_encoders
from tests.models.backbones import BACKBONES, make_host
from tests.models.batches import padded, ragged_inputs


class Gate(nn.Module):
    """Scales each head's output before the output projection."""

    def __init__(self, heads, size):
        super().__init__()
        self.scale, self.size = torch.ones(heads, dtype=torch.float64, requires_grad=True), size

    def forward(self, module, inputs):
        return (inputs[0] * self.scale.repeat_interleave(self.size),)


def by_brute_force(model, batch):
    """Michel et al.: Att_h^T dL/dAtt_h is the derivative by a gate on the head, one input at a time."""
    encoders = unique_encoders(model)
    gates = [Gate(encoder.heads, encoder.head_size) for encoder in encoders]
    for encoder, gate in zip(encoders, gates, strict=True):
        encoder.output_projection.register_forward_pre_hook(gate)
    total = [torch.zeros(encoder.heads, dtype=torch.float64) for encoder in encoders]
    for index in range(len(batch["labels"])):
        loss = model(**{name: value[index : index + 1] for name, value in batch.items()}).loss
        for place, gradient in enumerate(torch.autograd.grad(loss, [gate.scale for gate in gates])):
            total[place] += gradient.abs()
    mean = torch.stack(total) / len(batch["labels"])
    return mean / mean.norm(dim=-1, keepdim=True)


def agrees(batch, parts, *host, **fields):
    expected = by_brute_force(make_host(*host, **fields).double(), batch)
    assert expected.std() > 0.01
    batches = [{name: value[part] for name, value in batch.items()} for part in parts]
    found = head_importance(make_host(*host, **fields).double(), batches)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_importance_is_the_gradient_of_a_gate(backbone):
    batch = padded(ragged_inputs()) | {"labels": torch.tensor([0, 2, 1, 1])}
    agrees(batch, (slice(0, 3), slice(3, 4)), backbone)


def test_importance_adds_the_choices_of_an_input():
    rows = {name: value.unflatten(0, (2, 2)) for name, value in padded(ragged_inputs()).items()}
    agrees(rows | {"labels": torch.tensor([0, 1])}, [slice(None)], "bert", "multiple_choice")


def test_importance_of_a_regression():
    batch = padded(ragged_inputs()) | {"labels": torch.tensor([0.5, 2.0, -1.0, 3.0], dtype=torch.float64)}
    agrees(batch, [slice(None)], "bert", num_labels=1, problem_type="regression")


def test_the_model_is_left_as_it_was():
    model = make_host("bert").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = padded(ragged_inputs()) | {"labels": torch.tensor([0, 2, 1, 1])}
    head_importance(model, [batch])
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batches"):
        head_importance(make_host("bert"), [])


NAN = float("nan")
IMPORTANCE = torch.tensor([[0.9, 0.1, 0.5, 0.2], [0.3, 0.05, 0.04, 0.02], [0.8, 0.6, NAN, NAN]])


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1]]),
        (0.1, [[0, 1, 2, 3], [0, 1, 2], [0, 1]]),  # one of ten heads
        (0.3, [[0, 1, 2, 3], [0], [0, 1]]),
        (0.5, [[0, 2], [0], [0, 1]]),  # the second encoder keeps its last head
        (0.99, [[0], [0], [0]]),
    ],
)
def test_the_least_important_heads_of_all_encoders_go_first(share, expected):
    assert choose_heads(IMPORTANCE, share) == expected


def test_equally_important_heads_go_in_order():
    assert choose_heads(torch.full((2, 2), 0.7), 0.25) == [[1], [0, 1]]
