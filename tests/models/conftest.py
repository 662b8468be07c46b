"""Models that eliminate word-vectors, with the weights of the tiny host."""

from functools import partial

import pytest

from .backbones import BACKBONES, make_host, make_power


@pytest.fixture(params=["right", "left"])
def side(request):
    return request.param


@pytest.fixture(params=BACKBONES)
def host(request):
    """A tiny host of each backbone."""
    return make_host(request.param)


@pytest.fixture
def power(host):
    """Makes the host's power model with the given elimination fields."""
    return partial(make_power, host)


@pytest.fixture
def power_bert(tiny_bert):
    """Makes the power model of the tiny BERT with the given elimination fields."""
    return partial(make_power, tiny_bert)
