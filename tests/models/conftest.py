"""Models that eliminate word-vectors, with the weights of the tiny host."""

import pytest
import torch

from powerbert.models import PowerBertConfig, PowerBertForSequenceClassification


@pytest.fixture(params=["right", "left"])
def side(request):
    return request.param


@pytest.fixture
def power_bert(tiny_bert):
    """Makes the host's power model with the given elimination fields; uneven retention parameters."""
    host_fields = tiny_bert.config.to_dict()
    del host_fields["model_type"]

    def make(**elimination_fields):
        model = PowerBertForSequenceClassification(PowerBertConfig(**host_fields, **elimination_fields))
        missing, unexpected = model.load_state_dict(tiny_bert.state_dict(), strict=False)
        assert not unexpected
        assert set(missing) <= {"bert.soft_extract.retention_parameters"}
        if model.soft_extract is not None:
            r = model.soft_extract.retention_parameters
            r.data = torch.rand(r.shape, generator=torch.Generator().manual_seed(2))
        return model.eval()

    return make
