import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerbert.base.errors import ConfigError
from powerbert.elimination import derive_retention_configuration, validate_retention_configuration


@pytest.mark.parametrize(
    ("mass", "rounding", "configuration"),
    [
        ([6.2, 4.9, 2.1], "ceil", [7, 5, 3]),
        ([6.2, 4.9, 2.1], "floor", [6, 4, 2]),
        ([5.5, 8.0, 3.0, 4.0], "ceil", [6, 6, 3, 3]),
        ([2.0, 0.4, 0.0], "floor", [2, 1, 1]),
        ([0.0, 0.0], "ceil", [1, 1]),
    ],
)
def test_rounds_never_grows_and_never_falls_below_one(mass, rounding, configuration):
    assert derive_retention_configuration(mass, rounding) == configuration


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
@pytest.mark.parametrize("noise", [-1e-5, -1e-7, 0.0, 1e-7, 1e-5])
def test_rounding_errors_of_the_sum_do_not_count(rounding, noise):
    assert derive_retention_configuration([64.0 + noise], rounding) == [64]


def test_a_whole_mass_of_uneven_parameters():
    mass = torch.full((1, 640), 0.1).sum(dim=1)
    assert derive_retention_configuration(mass) == derive_retention_configuration(mass, "floor") == [64]


@given(st.lists(st.floats(0, 512), min_size=1, max_size=24), st.sampled_from(["ceil", "floor"]))
def test_is_always_a_valid_configuration(mass, rounding):
    configuration = derive_retention_configuration(mass, rounding)
    validate_retention_configuration(configuration, len(mass), max_length=512)
    assert configuration[0] == pytest.approx(max(1.0, mass[0]), abs=1.0)


def test_a_diverged_search_and_an_unknown_rounding_are_refused():
    with pytest.raises(ConfigError, match=r"^retention_configuration: the mass of encoder 2 is nan"):
        derive_retention_configuration([4.0, math.nan])
    with pytest.raises(ConfigError, match=r"^rounding: 'nearest'"):
        derive_retention_configuration([4.0], "nearest")


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ([4, 3], " has 2 entries, but the model has 3 encoders"),
        ([4, 3, 2, 1], " has 4 entries, but the model has 3 encoders"),
        ([4, 2, 3], " grows from 2 to 3 at encoder 3"),
        ([4, 2, 0], ", encoder 3: 0 must"),
        ([4, -2, -3], ", encoder 2: -2 must"),
        ([9, 2, 1], ", encoder 1: 9 must .* from 1 to 8"),
        ([4, 2.0, 1], ", encoder 2: 2.0 must"),
        ([True, True, True], ", encoder 1: True must"),
        (["4", "3", "2"], ", encoder 1: '4' must"),
    ],
)
def test_an_invalid_configuration_is_refused(configuration, message):
    with pytest.raises(ConfigError, match=f"^retention_configuration{message}"):
        validate_retention_configuration(configuration, num_encoders=3, max_length=8)


def test_a_valid_configuration_is_accepted():
    validate_retention_configuration([8, 8, 1], num_encoders=3, max_length=8)
    validate_retention_configuration((900, 2), num_encoders=2)
