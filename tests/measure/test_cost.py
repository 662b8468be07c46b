"""The cost of whole models as a formula in the word-vectors that they retain."""

import pytest
import torch

from powerbert.measure import count_flops
from powerbert.measure.cost import CostModel, batches_of_protocol, fit, reach
from tests.models.backbones import make_host, make_power

LONGEST = 24


@pytest.fixture(scope="module")
def host():
    return make_host("bert")


@pytest.fixture(scope="module", params=[False, True], ids=["all_states", "cls_alone"])
def cls_alone(request):
    return request.param


@pytest.fixture(scope="module")
def coefficients(host, cls_alone):
    model = make_power(host, retention_shares=[1.0, 1.0, 1.0], cls_alone=cls_alone)
    return fit(model, host, [6, 15, LONGEST])[0]


def one_batch(given, longest):
    given, longest = (torch.tensor([float(n)]) for n in (given, longest))
    return {"given": given, "longest": longest, "weight": torch.ones(1)}


def cost_of(coefficients, retained, given=LONGEST, **options):
    model = CostModel(coefficients, one_batch(given, given), encoders=3)
    return float(model(lambda words: torch.tensor(retained).unsqueeze(1).float(), **options))


@pytest.mark.parametrize("retained", [[16, 7, 2], [13, 13, 4], [24, 16, 16], [24, 24, 24], [1, 1, 1]])
@pytest.mark.parametrize("given", [9, 24])
def test_operations_are_those_of_whole_models(host, coefficients, cls_alone, retained, given):
    """Models, lengths and depth are others than those of the fit."""
    model = make_power(host, retention_configuration=retained, cls_alone=cls_alone)
    expected = count_flops(model, given) / count_flops(host, given)
    found = cost_of(coefficients, retained, given, cls_alone=cls_alone, exact=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_an_encoder_that_retains_everything_does_not_score_if_that_is_asked_for(coefficients):
    assert cost_of(coefficients, [24, 24, 24], exact=True) == pytest.approx(1)
    assert cost_of(coefficients, [24, 24, 24]) > 1


def test_batches_count_by_their_weight(host, coefficients):
    batches = {
        "given": torch.tensor([8.0, 24.0]),
        "longest": torch.tensor([8.0, 24.0]),
        "weight": torch.tensor([0.25, 0.75]),
    }
    found = float(
        CostModel(coefficients, batches, 3)(lambda n: torch.stack([n / 2, n / 4, n / 4]), exact=True)
    )
    own, whole = 0.0, 0.0
    for weight, n in ((0.25, 8), (0.75, 24)):
        model = make_power(host, retention_configuration=[n // 2, n // 4, n // 4])
        own += weight * count_flops(model, n)
        whole += weight * count_flops(host, n)
    assert found == pytest.approx(own / whole, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(coefficients):
    model = CostModel(coefficients, one_batch(LONGEST, 21), encoders=3).double()
    shares = torch.tensor([0.71, 0.44, 0.15], dtype=torch.float64, requires_grad=True)

    def cost(values):
        return model(lambda words: values.unsqueeze(1) * words)

    cost(shares).backward()
    step = 1e-5
    for encoder in range(3):
        moved = torch.zeros(3, dtype=torch.float64)
        moved[encoder] = step
        with torch.no_grad():
            slope = (cost(shares + moved) - cost(shares - moved)) / (2 * step)
        assert shares.grad[encoder].item() == pytest.approx(slope.item(), rel=1e-6)
        assert shares.grad[encoder] > 0


def test_sorted_batches_are_as_long_as_their_longest_input():
    found = batches_of_protocol([5, 1, 8, 3, 2, 7, 4, 6], "dynamic", 16, 2)
    assert found["given"].tolist() == found["longest"].tolist() == [2, 4, 6, 8]
    assert found["weight"].tolist() == [0.25] * 4
    assert len(batches_of_protocol(range(1, 1001), "dynamic", 1000, 2, most=10)["given"]) == 10
    assert batches_of_protocol([7], "dynamic", 16, 32)["given"].tolist() == [7]


def test_padded_batches_are_of_the_maximum_length():
    found = batches_of_protocol([5, 1, 8, 3, 2, 7, 4, 6], "padded", 16, 2)
    assert found["given"].tolist() == [16]
    assert 1 <= found["longest"].item() <= 8


def test_times_are_measured_and_fitted(host):
    """A model that retains less is predicted to take less time."""
    model = make_power(host, retention_shares=[1.0, 1.0, 1.0])
    coefficients, _ = fit(model, host, [4, 48], batch_size=2)
    assert cost_of(coefficients, [48, 48, 48], 48, exact=True) == pytest.approx(1)
    assert cost_of(coefficients, [6, 1, 1], 48, exact=True) > 0


@pytest.mark.parametrize("target", [0.2, 0.5, 0.9])
def test_reach_moves_all_shares_onto_the_target_and_keeps_their_order(target):
    found = reach(lambda values: sum(values) / 4, [1.0, 0.8, 0.5, 0.1], max(target, 0.3), 1.0)
    assert sum(found) / 4 == pytest.approx(max(target, 0.3), abs=1e-3)
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
