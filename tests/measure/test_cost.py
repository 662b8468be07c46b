"""Tables of one encoder's cost, put together to that of whole models."""

import pytest
import torch

from powerbert.measure import count_flops
from powerbert.measure.cost import CostModel, batches_of_protocol, fit_overhead
from powerbert.measure.cost_tables import cost_tables
from tests.models.backbones import make_host, make_power

LONGEST, BATCH = 24, 2


@pytest.fixture(scope="module")
def host():
    return make_host("bert")


@pytest.fixture(scope="module")
def tables(host):
    return cost_tables(make_power(host, soft_extract_bins=4), LONGEST, "operations", BATCH)[0]


def one_batch(given, longest):
    given, longest = (torch.tensor([float(n)]) for n in (given, longest))
    return {"given": given, "longest": longest, "weight": torch.ones(1)}


def cost_of(tables, retained, given=LONGEST, **options):
    model = CostModel(tables, one_batch(given, given), encoders=3)
    return float(model(lambda words: torch.tensor(retained).unsqueeze(1).float(), **options))


@pytest.mark.parametrize("retained", [[16, 8, 2], [12, 12, 4], [24, 16, 16], [24, 24, 24]])
@pytest.mark.parametrize("given", [16, 24])
def test_operations_are_those_of_whole_models_at_the_widths_of_the_table(host, tables, retained, given):
    assert set(retained) <= set(tables["widths"].tolist())
    model = make_power(host, retention_configuration=retained)
    expected = count_flops(model, given, BATCH) / count_flops(host, given, BATCH)
    assert cost_of(tables, retained, given, exact=True) == pytest.approx(expected, rel=1e-6)


def test_cls_alone_in_the_last_encoder_of_a_whole_model(host, tables):
    model = make_power(host, retention_configuration=[16, 8, 8], cls_alone=True)
    expected = count_flops(model, LONGEST, BATCH) / count_flops(host, LONGEST, BATCH)
    assert cost_of(tables, [16, 8, 8], cls_alone=True, exact=True) == pytest.approx(expected, rel=1e-6)


def test_an_encoder_that_retains_everything_does_not_score_if_that_is_asked_for(tables):
    assert cost_of(tables, [24, 24, 24], exact=True) == pytest.approx(1)
    assert cost_of(tables, [24, 24, 24]) > 1


def test_between_the_widths_the_cost_is_interpolated(tables):
    above, below = (cost_of(tables, [16, number, 2]) for number in (12, 8))
    assert cost_of(tables, [16, 10, 2]) == pytest.approx((above + below) / 2, rel=1e-6)
    assert cost_of(tables, [16, 11, 2]) == pytest.approx(0.75 * above + 0.25 * below, rel=1e-6)


def test_batches_count_by_their_weight(tables):
    batches = {
        "given": torch.tensor([8.0, 24.0]),
        "longest": torch.tensor([8.0, 24.0]),
        "weight": torch.tensor([0.25, 0.75]),
    }
    model = CostModel(tables, batches, encoders=3)
    found = float(model(lambda words: torch.stack([words / 2, words / 4, words / 4]), exact=True))

    def work(table, given, kept):
        index = [tables["widths"].tolist().index(n) for n in (given, kept)]
        return float(tables[table][index[0], index[1]] if table == "eliminating" else tables[table][index[0]])

    def own(n):
        first = work("eliminating", n, n / 2) + work("eliminating", n / 2, n / 4)
        # n / 4 of 24 is no width of the table's: 6, halfway between 4 and 8
        return first + work("dense", n / 4, n / 4) + work("rest", n, n)

    if 6 in tables["widths"].tolist():
        whole = {n: 3 * work("dense", n, n) + work("rest", n, n) for n in (8, 24)}
        expected = (0.25 * own(8) + 0.75 * own(24)) / (0.25 * whole[8] + 0.75 * whole[24])
        assert found == pytest.approx(expected, rel=1e-6)
    assert 0 < found < 1


def test_the_gradient_is_that_of_finite_differences(tables):
    model = CostModel(tables, one_batch(LONGEST, 21), encoders=3).double()
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


def test_time_is_measured_for_every_width(host):
    model = make_power(host, soft_extract_bins=4)
    tables, _ = cost_tables(model, 4, "time", 2)
    assert tables["widths"].tolist() == [1, 2, 4]
    assert all((tables[name] > 0).all() for name in ("dense", "alone", "rest", "eliminating"))


@pytest.mark.parametrize("overhead", [0.0, 0.04, 0.3, -0.1])
def test_the_overhead_of_each_encoder_is_recovered_from_whole_models(tables, overhead):
    model = CostModel(tables, one_batch(LONGEST, LONGEST), encoders=3)
    profiles = [[1.0, 1.0, 1.0], [0.7, 0.5, 0.3], [0.4, 0.2, 0.1]]
    tabulated = torch.tensor([model.of_shares(shares) for shares in profiles])
    model.overhead.fill_(overhead)
    measured = torch.tensor([model.of_shares(shares) for shares in profiles])
    assert fit_overhead(tabulated, measured, 1.0).item() == pytest.approx(overhead, abs=1e-5)
    assert model.of_shares([1.0, 1.0, 1.0]) == pytest.approx(1.0), "the baseline has it too"
