"""The distilled baselines: each loss by hand, the objectives on a tiny model, and the layer maps."""

import math

import pytest
import torch
from torch.nn import functional as F

from powerbert.methods.distillation import (
    Distillation,
    evenly_spread,
    hidden_cosine_loss,
    patient_loss,
    skip_map,
    soft_target_loss,
)
from powerbert.models import take_encoders
from tests.models.backbones import BACKBONES, make_host
from tests.models.batches import padded, ragged_inputs


def test_soft_targets_of_two_classes():
    # T = 2: teacher softmax(2 ln 3 / 2, 0) = (3/4, 1/4), student softmax(0, 0) = (1/2, 1/2)
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    student = torch.zeros(1, 2)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert soft_target_loss(student, teacher, 2.0).item() == pytest.approx(4 * divergence, rel=1e-6)


def test_soft_targets_are_a_mean_over_inputs_from_teacher_to_student():
    teacher = torch.tensor([[math.log(9), 0.0], [5.0, 5.0]])
    student = torch.tensor([[0.0, 0.0], [-1.0, -1.0]])  # the second predicts what its teacher does
    forward = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert soft_target_loss(student, teacher, 1.0).item() == pytest.approx(forward / 2, rel=1e-6)
    assert soft_target_loss(teacher, student, 1.0).item() != pytest.approx(forward / 2, rel=1e-2)


def test_soft_targets_of_labels_are_the_divergence_of_each_averaged():
    # T = 2: the teacher's probabilities are 3/4 and 1/2, the student's 1/2 and 1/2
    teacher, student = torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert soft_target_loss(student, teacher, 2.0, True).item() == pytest.approx(4 * divergence / 2, rel=1e-6)
    random = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(2, 5, 3, generator=random)
    told = (teacher / 2).sigmoid()
    cross = F.binary_cross_entropy_with_logits(student / 2, told)
    least = F.binary_cross_entropy_with_logits(teacher / 2, told)
    torch.testing.assert_close(soft_target_loss(student, teacher, 2.0, True), 4 * (cross - least))


def test_the_gradient_keeps_its_size_at_high_temperature():
    teacher = torch.tensor([[1.0, -1.0]])
    sizes = []
    for temperature in (5.0, 20.0):
        student = torch.tensor([[-0.5, 0.5]], requires_grad=True)
        soft_target_loss(student, teacher, temperature).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_reranker_learns_the_teachers_probability(temperature):
    """Up to the teacher's own entropy it is the binary cross entropy with its sigmoid: equal gradients."""
    student = torch.tensor([[1.0], [-2.0], [0.3]], requires_grad=True)
    teacher = torch.tensor([[0.5], [4.0], [-1.0]])
    soft = soft_target_loss(student, teacher, temperature, binary=True)
    assert soft_target_loss(teacher, teacher, temperature, binary=True).item() == pytest.approx(0, abs=1e-6)
    target = (teacher / temperature).sigmoid()
    by_hand = temperature**2 * F.binary_cross_entropy_with_logits(student / temperature, target)
    one, other = (torch.autograd.grad(loss, student)[0] for loss in (soft, by_hand))
    assert torch.allclose(one, other, atol=1e-6)


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


def test_a_student_of_one_encoder_has_no_patient_loss():
    assert patient_loss(torch.zeros(4, 0, 8), torch.zeros(4, 0, 8)).item() == 0.0


@pytest.mark.parametrize("loss", [soft_target_loss, patient_loss])
def test_half_precision_is_computed_in_float32(loss):
    more = (1.0,) if loss is soft_target_loss else ()
    shape = (2, 3) if loss is soft_target_loss else (2, 3, 4)
    student, teacher = torch.randn(shape).bfloat16(), torch.randn(shape).bfloat16()
    result = loss(student, teacher, *more)
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(loss(student.float(), teacher.float(), *more).item())


LABELS = torch.tensor([0, 2, 1, 1])


def outputs(backbone, side="right", **fields):
    """Student of two encoders and its teacher on one ragged batch, and the mask."""
    teacher = make_host(backbone, **fields)
    torch.manual_seed(3)
    student = take_encoders(make_host(backbone, **fields), [0, 2])
    for parameter in student.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    batch = padded(ragged_inputs(), side=side)
    labels = LABELS.float() if fields.get("num_labels") == 1 else LABELS
    told = {"output_hidden_states": True}
    return student(**batch, labels=labels, **told), teacher(**batch, **told), batch["attention_mask"].bool()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_distilbert_adds_soft_targets_and_the_last_word_vectors(backbone):
    student, teacher, mask = outputs(backbone)
    objective = Distillation(alpha=0.3, temperature=2.0, cosine=0.5)
    soft = soft_target_loss(student.logits, teacher.logits, 2.0)
    cosine = hidden_cosine_loss(student.hidden_states[-1], teacher.hidden_states[-1], mask)
    assert cosine > 0.001
    expected = 0.7 * student.loss + 0.3 * soft + 0.5 * cosine
    torch.testing.assert_close(objective(student, teacher, mask), expected)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("side", ["right", "left"])
def test_bert_pkd_adds_soft_targets_and_patience(backbone, side):
    student, teacher, mask = outputs(backbone, side)
    # of (3, 2): the student's encoder 1 imitates encoder 1.5, that is 2
    objective = Distillation(alpha=0.2, temperature=5.0, beta=10.0, imitated=[(1, 2)])
    first = mask.int().argmax(1)
    rows = torch.arange(len(mask))
    patience = patient_loss(
        student.hidden_states[1][rows, first][:, None], teacher.hidden_states[2][rows, first][:, None]
    )
    assert patience > 1e-4
    soft = soft_target_loss(student.logits, teacher.logits, 5.0)
    expected = 0.8 * student.loss + 0.2 * soft + 10.0 * patience
    torch.testing.assert_close(objective(student, teacher, mask), expected)


def test_a_regression_is_distilled():
    student, teacher, mask = outputs("bert", num_labels=1, problem_type="regression")
    objective = Distillation(alpha=0.5, temperature=2.0)
    labels = (student.logits.squeeze(-1) - LABELS).square().mean()
    imitation = (student.logits - teacher.logits).square().mean()
    torch.testing.assert_close(objective(student, teacher, mask), 0.5 * labels + 0.5 * imitation)


@pytest.mark.parametrize(
    ("encoders", "k", "spread", "skip"),
    [
        (12, 6, [0, 2, 4, 7, 9, 11], [2, 4, 6, 8, 10]),  # the choices of the two papers
        (12, 4, [0, 4, 7, 11], [3, 6, 9]),
        (12, 3, [0, 6, 11], [4, 8]),
        (6, 3, [0, 3, 5], [2, 4]),
        (6, 2, [0, 5], [3]),
        (6, 4, [0, 2, 3, 5], [2, 3, 5]),  # 1.5, 3, 4.5: halves up
        (6, 1, [0], []),
        (6, 6, [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
    ],
)
def test_a_student_starts_from_spread_encoders_and_imitates_every_so_many(encoders, k, spread, skip):
    assert evenly_spread(encoders, k) == spread
    assert skip_map(encoders, k) == skip


@pytest.mark.parametrize("encoders", range(1, 25))
def test_maps_increase_and_stay_inside_for_any_depth(encoders):
    for k in range(1, encoders + 1):
        spread, skip = evenly_spread(encoders, k), skip_map(encoders, k)
        assert len(spread) == k
        assert len(skip) == k - 1
        assert spread == sorted(set(spread))
        assert skip == sorted(set(skip))
        assert 0 <= spread[0] <= spread[-1] < encoders
        assert all(i <= place < encoders for i, place in enumerate(skip, start=1))
