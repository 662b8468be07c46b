import pytest
import torch

from powerbert.elimination.soft_extract import SoftExtract, mass_regularizer


@pytest.fixture
def soft_extract():
    module = SoftExtract(num_encoders=3, length=4)
    with torch.no_grad():
        module.retention_parameters.copy_(torch.arange(12.0).view(3, 4) / 12)
    return module


def test_starts_by_retaining_everything():
    module = SoftExtract(num_encoders=3, length=4)
    assert module.mass().tolist() == [4.0, 4.0, 4.0]
    hidden = torch.rand(2, 3, 5)
    ranks = torch.tensor([[0, 2, 1], [2, 1, 0]])
    assert torch.equal(module.scale(hidden, ranks, 1), hidden)


def test_scales_each_word_vector_by_the_parameter_of_its_ordered_position(soft_extract):
    hidden = torch.rand(2, 3, 5)
    ranks = torch.tensor([[0, 2, 1], [3, 1, 0]])
    scaled = soft_extract.scale(hidden, ranks, 2)
    r = soft_extract.retention_parameters[2]
    for b in range(2):
        for i in range(3):
            torch.testing.assert_close(scaled[b, i], hidden[b, i] * r[ranks[b, i]])


def test_gradient_reaches_the_parameters_of_that_encoder(soft_extract):
    hidden = torch.rand(1, 3, 5)
    soft_extract.scale(hidden, torch.tensor([[1, 0, 3]]), 1).sum().backward()
    expected = torch.zeros(3, 4)
    expected[1, [1, 0, 3]] = hidden.sum(dim=2)[0]
    torch.testing.assert_close(soft_extract.retention_parameters.grad, expected)


def test_keeps_the_precision_of_the_word_vectors_and_refuses_more_than_parameters(soft_extract):
    hidden = torch.rand(1, 2, 5, dtype=torch.bfloat16)
    assert soft_extract.scale(hidden, torch.tensor([[0, 1]]), 0).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="5 words, but only 4"):
        soft_extract.scale(torch.rand(1, 5, 2), torch.arange(5).unsqueeze(0), 0)


def test_mass_is_the_sum_over_ordered_positions(soft_extract):
    torch.testing.assert_close(soft_extract.mass(), torch.tensor([6.0, 22.0, 38.0]) / 12)


def test_clips_into_the_unit_interval_in_place():
    module = SoftExtract(num_encoders=1, length=4)
    with torch.no_grad():
        module.retention_parameters.copy_(torch.tensor([[-0.5, 0.25, 1.0, 1.5]]))
    parameter = module.retention_parameters
    module.clip_()
    assert module.retention_parameters is parameter
    assert parameter.tolist() == [[0.0, 0.25, 1.0, 1.0]]
    assert parameter.requires_grad


def test_the_regularizer_weighs_each_mass_by_the_index_of_its_encoder():
    assert mass_regularizer(torch.tensor([4.0, 3.0, 2.0])).item() == 1 * 4.0 + 2 * 3.0 + 3 * 2.0


def test_the_regularizers_gradient_is_the_index_of_the_encoder():
    module = SoftExtract(num_encoders=4, length=5)
    mass_regularizer(module.mass()).backward()
    assert module.retention_parameters.grad.tolist() == [[float(j)] * 5 for j in (1, 2, 3, 4)]


BINS = torch.tensor([[0.9, 0.6, 0.3]])


@pytest.fixture
def binned():
    module = SoftExtract(num_encoders=1, length=3, bins=True)
    with torch.no_grad():
        module.retention_parameters.copy_(BINS)
    return module


@pytest.mark.parametrize(
    ("words", "scales"),
    [
        (1, [1.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]),  # beyond the input's own words the last bin counts
        (2, [1.0, 0.6, 0.3, 0.3, 0.3, 0.3, 0.3]),
        (3, [1.0, 0.6, 0.3, 0.3, 0.3, 0.3, 0.3]),
        (6, [1.0, 0.9, 0.6, 0.6, 0.3, 0.3, 0.3]),
        (7, [1.0, 0.9, 0.9, 0.6, 0.6, 0.3, 0.3]),
    ],
)
def test_a_bin_is_a_part_of_an_inputs_own_words_and_cls_is_never_scaled(binned, words, scales):
    hidden, ranks = torch.ones(1, 7, 2), torch.arange(7).unsqueeze(0)
    scaled = binned.scale(hidden, ranks, 0, torch.tensor([words]))
    torch.testing.assert_close(scaled[0, :, 0], torch.tensor(scales))
    if words == 7:
        assert torch.equal(binned.scale(hidden, ranks, 0), scaled)


def test_inputs_of_any_length_and_order_have_bins_of_their_own(binned):
    hidden = torch.rand(2, 4, 5)
    ranks = torch.tensor([[0, 3, 1, 2], [2, 3, 0, 1]])
    scaled = binned.scale(hidden, ranks, 0, torch.tensor([4, 2]))
    expected = torch.tensor([[1.0, 0.3, 0.9, 0.6], [0.3, 0.3, 1.0, 0.6]])
    torch.testing.assert_close(scaled, hidden * expected.unsqueeze(-1))
    assert binned.scale(torch.rand(1, 500, 2), torch.arange(500).unsqueeze(0), 0).shape == (1, 500, 2)


def test_the_share_is_the_mean_of_the_bins(binned):
    assert binned.shares().item() == pytest.approx(0.6)
