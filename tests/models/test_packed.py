"""Models with packed linear layers: what they compute, what they share, what is refused."""

import copy

import pytest
import torch
from torch import nn

from powerbert.models import pack_linear_layers
from powerbert.models.packed import PackedLinear

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")


def linear_layers(model):
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


@pytest.mark.parametrize("retain", [None, [7, 4, 1]])
@pytest.mark.parametrize("inputs", [ragged_inputs(), [[2], [2], [2]]])
def test_a_packed_model_computes_what_the_model_does(host, retain, inputs):
    model = host if retain is None else make_power(host, retention_configuration=retain)
    packed = pack_linear_layers(model)
    assert not linear_layers(packed)
    batch = padded(inputs)
    with torch.inference_mode():
        torch.testing.assert_close(packed(**batch).logits, model(**batch).logits, atol=1e-5, rtol=1e-5)


def test_the_model_is_left_as_it_was_and_shares_its_embeddings(host):
    before = len(linear_layers(host))
    packed = pack_linear_layers(host.train())
    assert before == len(linear_layers(host)) > 0
    assert not packed.training
    assert packed.get_input_embeddings().weight.data_ptr() == host.get_input_embeddings().weight.data_ptr()


def test_layers_shared_by_encoders_are_packed_once():
    packed = pack_linear_layers(make_host("albert"))
    layers = [module for module in packed.modules() if isinstance(module, PackedLinear)]
    assert len(layers) == len(linear_layers(make_host("albert")))


def test_a_packed_model_is_not_saved_without_its_weights(host, tmp_path):
    with pytest.raises(ValueError, match="cannot be saved"):
        pack_linear_layers(host).save_pretrained(tmp_path)


def test_a_layer_without_bias():
    linear = nn.Linear(6, 4, bias=False)
    hidden = torch.randn(2, 3, 6)
    torch.testing.assert_close(PackedLinear(linear)(hidden), linear(hidden))


def test_a_model_that_cannot_be_packed_is_refused(host, monkeypatch):
    with pytest.raises(ValueError, match="in float32 on the CPU"):
        pack_linear_layers(copy.deepcopy(host).to(torch.bfloat16))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(ValueError, match="with oneDNN"):
        pack_linear_layers(host)
