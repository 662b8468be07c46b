"""Each loss against an example computed by hand."""

import math

import pytest
import torch

from powerbert.methods.bert_pkd import patient_loss
from powerbert.methods.distilbert import hidden_cosine_loss
from powerbert.methods.distillation import soft_target_loss


def test_soft_targets_of_two_classes():
    # T = 2: teacher softmax(2 ln 3 / 2, 0) = (3/4, 1/4), student softmax(0, 0) = (1/2, 1/2)
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    student = torch.zeros(1, 2)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert soft_target_loss(student, teacher, 2.0).item() == pytest.approx(4 * divergence, rel=1e-6)


def test_soft_targets_are_a_mean_over_inputs_and_need_no_agreement_in_scale():
    teacher = torch.tensor([[2 * math.log(3), 0.0], [5.0, 5.0]])
    student = torch.tensor([[0.0, 0.0], [-1.0, -1.0]])  # the second predicts what its teacher does
    alone = soft_target_loss(student[:1], teacher[:1], 2.0)
    assert soft_target_loss(student, teacher, 2.0).item() == pytest.approx(alone.item() / 2, rel=1e-6)


def test_the_direction_is_from_the_teacher():
    teacher, student = torch.tensor([[math.log(9), 0.0]]), torch.zeros(1, 2)
    forward = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert soft_target_loss(student, teacher, 1.0).item() == pytest.approx(forward, rel=1e-6)
    assert soft_target_loss(teacher, student, 1.0).item() != pytest.approx(forward, rel=1e-2)


def test_the_gradient_keeps_its_size_at_high_temperature():
    teacher = torch.tensor([[1.0, -1.0]])
    sizes = []
    for temperature in (5.0, 20.0):
        student = torch.tensor([[-0.5, 0.5]], requires_grad=True)
        soft_target_loss(student, teacher, temperature).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_a_regression_imitates_the_number(temperature):
    student, teacher = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.5], [4.0]])
    assert soft_target_loss(student, teacher, temperature).item() == pytest.approx((0.25 + 4.0) / 2)


def test_cosine_over_real_words_only():
    student = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [7.0, 7.0]]])
    teacher = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]])
    mask = torch.tensor([[True, True, False]])  # cosines 1, 0, and padding
    assert hidden_cosine_loss(student, teacher, mask).item() == pytest.approx(0.5)


def test_patience_compares_directions():
    student = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])  # (0.6, 0.8), (0, 1)
    teacher = torch.tensor([[[5.0, 0.0], [0.0, 9.0]]])  # (1, 0), (0, 1)
    assert patient_loss(student, teacher).item() == pytest.approx((0.16 + 0.64 + 0 + 0) / 4)


def test_a_student_of_one_encoder_has_nothing_to_be_patient_about():
    assert patient_loss(torch.zeros(4, 0, 8), torch.zeros(4, 0, 8)).item() == 0.0


@pytest.mark.parametrize("loss", [soft_target_loss, patient_loss])
def test_half_precision_is_computed_in_float32(loss):
    more = (1.0,) if loss is soft_target_loss else ()
    shape = (2, 3) if loss is soft_target_loss else (2, 3, 4)
    student, teacher = torch.randn(shape).bfloat16(), torch.randn(shape).bfloat16()
    result = loss(student, teacher, *more)
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(loss(student.float(), teacher.float(), *more).item())
