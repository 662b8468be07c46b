import torch

from powerbert.elimination import SoftExtract, mass_regularizer


def test_weighs_each_mass_by_the_index_of_its_encoder():
    assert mass_regularizer(torch.tensor([4.0, 3.0, 2.0])).item() == 1 * 4.0 + 2 * 3.0 + 3 * 2.0


def test_gradient_of_a_retention_parameter_is_the_index_of_its_encoder():
    module = SoftExtract(num_encoders=4, length=5)
    mass_regularizer(module.mass()).backward()
    assert module.retention_parameters.grad.tolist() == [[float(j)] * 5 for j in (1, 2, 3, 4)]
