import pytest
import torch
from torch import nn

from powerbert.models import classify, embed, host_encoders
from powerbert.models.backbone import power_class
from powerbert.models.encoder import encode

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs


def run(model, batch):
    """The model, one part after another."""
    mask = batch["attention_mask"].bool()
    hidden = embed(model, **{name: value for name, value in batch.items() if name != "attention_mask"})
    for host in host_encoders(model):
        hidden = encode(host, hidden, mask)
    return classify(model, hidden, mask)


@pytest.mark.parametrize("eliminates", [False, True], ids=["host", "power"])
def test_the_parts_make_the_model(host, side, eliminates):
    model = make_power(host, retention_configuration=[8, 5, 2]) if eliminates else host
    logits = run(model, padded(ragged_inputs(), side=side))
    torch.testing.assert_close(logits, host(**padded(ragged_inputs())).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "backbone", ["bert", "albert", "camembert", "deberta-v2", "mpnet", "roberta", "xlm-roberta"]
)
def test_the_parts_of_a_model_for_multiple_choice(backbone):
    host, batch = make_host(backbone, "multiple_choice"), padded(ragged_inputs())
    expected = host(**{name: value.view(2, 2, -1) for name, value in batch.items()}).logits
    torch.testing.assert_close(run(host, batch).view(2, 2), expected, atol=1e-5, rtol=0)


def test_encoders_of_a_base_model(host):
    assert len(host_encoders(host.base_model)) == len(host_encoders(host)) == 3


def test_a_model_of_no_backbone_is_refused():
    with pytest.raises(TypeError, match=r"no registered backbone .* Linear"):
        power_class(nn.Linear(2, 2))
