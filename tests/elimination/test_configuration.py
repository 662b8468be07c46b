import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerbert.base.errors import ConfigError
from powerbert.elimination import (
    derive_retention_configuration,
    derive_retention_shares,
    retained_by_encoder,
    retained_by_share,
    validate_retention_configuration,
    validate_retention_shares,
)


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


def test_a_share_of_any_length_is_rounded_up_exactly():
    words = torch.arange(1, 513)
    for step in range(10_001):
        exact = -(-step * words // 10_000)  # whole numbers
        assert torch.equal(retained_by_share(step / 10_000, words), exact.clamp_min(1)), step


@given(st.integers(0, 10_000), st.integers(1, 512))
def test_a_share_of_one_length_is_that_of_fractions(step, words):
    assert retained_by_share(step / 10_000, words) == max(1, math.ceil(Fraction(step, 10_000) * words))


@pytest.mark.parametrize(
    ("learnt", "shares"),
    [
        ([0.82, 0.55, 0.31], [0.82, 0.55, 0.31]),
        ([0.5, 0.7, 0.2, 0.3], [0.5, 0.5, 0.2, 0.2]),
        ([1.0, 0.12344, 0.12346, 0.0], [1.0, 0.1234, 0.1234, 0.0]),
    ],
)
def test_shares_come_in_steps_and_never_grow(learnt, shares):
    assert derive_retention_shares(learnt) == shares
    assert derive_retention_shares(torch.tensor(learnt, dtype=torch.float64)) == shares
    validate_retention_shares(shares, len(shares))


def test_a_search_for_shares_that_diverged_is_refused():
    with pytest.raises(ConfigError, match=r"the share of encoder 2: nan"):
        derive_retention_shares([0.5, math.nan])


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([0.5, 0.4], " has 2 entries, but the model has 3 encoders"),
        ([0.5, 0.2, 0.3], " grows from 0.2 to 0.3 at encoder 3"),
        ([1.1, 0.2, 0.1], ", encoder 1: 1.1 must"),
        ([0.5, 0.2, -0.1], ", encoder 3: -0.1 must"),
        ([0.5, True, 0.1], ", encoder 2: True must"),
        ([0.5, math.nan, 0.1], ", encoder 2: nan must"),
    ],
)
def test_invalid_shares_are_refused(shares, message):
    with pytest.raises(ConfigError, match=f"^retention_shares{message}"):
        validate_retention_shares(shares, num_encoders=3)


@pytest.mark.parametrize(
    ("fields", "retained"),
    [
        ({}, [10, 10, 10]),
        ({"cls_alone": True}, [10, 10, 1]),
        ({"retention_configuration": [64, 5, 2]}, [10, 5, 2]),
        ({"retention_configuration": [64, 5, 2], "cls_alone": True}, [10, 5, 1]),
        ({"retention_configuration": None, "retention_shares": [1.0, 0.31, 0.0]}, [10, 4, 1]),
    ],
)
def test_what_each_encoder_retains_of_an_input(fields, retained):
    assert retained_by_encoder(fields, 3, 10) == retained
