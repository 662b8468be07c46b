"""The objectives of the distilled baselines on a tiny model: what each of their terms does."""

import pytest
import torch

from powerbert.methods import BertPkd, DistilBert
from powerbert.methods.bert_pkd import patient_loss
from powerbert.methods.distilbert import hidden_cosine_loss
from powerbert.methods.distillation import soft_target_loss
from powerbert.models import take_encoders
from tests.models.backbones import BACKBONES, make_host
from tests.models.batches import padded, ragged_inputs

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
    method = DistilBert("distilbert", 2, alpha=0.3, temperature=2.0, cosine=0.5)
    soft = soft_target_loss(student.logits, teacher.logits, 2.0)
    cosine = hidden_cosine_loss(student.hidden_states[-1], teacher.hidden_states[-1], mask)
    assert cosine > 0.001
    expected = 0.7 * student.loss + 0.3 * soft + 0.5 * cosine
    torch.testing.assert_close(method.objective(student, teacher, mask), expected)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("side", ["right", "left"])
def test_bert_pkd_adds_soft_targets_and_patience(backbone, side):
    student, teacher, mask = outputs(backbone, side)
    method = BertPkd("bert_pkd", 2, alpha=0.2, temperature=5.0, beta=10.0)
    first = mask.int().argmax(1)
    rows = torch.arange(len(mask))
    # of (3, 2): the student's encoder 1 imitates encoder 1.5, that is 2
    patience = patient_loss(
        student.hidden_states[1][rows, first][:, None], teacher.hidden_states[2][rows, first][:, None]
    )
    assert patience > 1e-4
    soft = soft_target_loss(student.logits, teacher.logits, 5.0)
    expected = 0.8 * student.loss + 0.2 * soft + 10.0 * patience
    torch.testing.assert_close(method.objective(student, teacher, mask), expected)


def test_a_regression_is_distilled():
    student, teacher, mask = outputs("bert", num_labels=1, problem_type="regression")
    method = DistilBert("distilbert", 2, alpha=0.5, temperature=2.0, cosine=0.0)
    labels = (student.logits.squeeze(-1) - LABELS).square().mean()
    imitation = (student.logits - teacher.logits).square().mean()
    torch.testing.assert_close(method.objective(student, teacher, mask), 0.5 * labels + 0.5 * imitation)
