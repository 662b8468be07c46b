"""The training of a student: what it learns from, and what stays out of its checkpoints."""

import pytest
import torch
from lightning.pytorch import seed_everything

from powerbert.models import load_host_model, take_encoders
from powerbert.stages import Distill, Optimization
from powerbert.stages.fit import fit
from tests.stages.test_stage import SETTINGS, TASK, Data, batch


@pytest.fixture
def student_and_teacher(tiny_checkpoint):
    seed_everything(0, verbose=False)
    teacher = load_host_model(tiny_checkpoint, num_labels=2)
    return take_encoders(load_host_model(tiny_checkpoint, num_labels=2), [0]), teacher


def imitate(student, teacher, mask):
    return (student.logits - teacher.logits).square().mean()


def test_the_student_learns_what_the_teacher_says_and_not_the_labels(student_and_teacher, tmp_path):
    student, teacher = student_and_teacher
    stage = Distill(student, TASK, Optimization(1e-2), teacher=teacher, objective=imitate)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    start = stage.loss(batch(0)).item()
    fit(stage, Data(), SETTINGS | {"max_epochs": 8}, [], tmp_path)
    assert stage.loss(batch(0)).item() < start / 2
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not teacher.training


def test_the_teacher_is_in_no_checkpoint_and_no_optimizer(student_and_teacher, tmp_path):
    student, teacher = student_and_teacher
    stage = Distill(student, TASK, Optimization(1e-2), teacher=teacher, objective=imitate)
    assert sum(p.numel() for p in stage.parameters()) == student.num_parameters()
    fit(stage, Data(), SETTINGS, [], tmp_path)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert len(saved) == len(student.state_dict())


def test_the_mask_covers_the_choices_as_inputs_of_their_own(tiny_checkpoint):
    seen = []

    def objective(student, teacher, mask):
        seen.append((mask.shape, mask.dtype, student.hidden_states[0].shape[:2]))
        return student.loss

    models = [load_host_model(tiny_checkpoint, "multiple_choice") for _ in range(2)]
    stage = Distill(models[0], TASK, Optimization(1e-2), teacher=models[1], objective=objective)
    rows = batch(0)
    labels = rows.pop("labels")[:4]
    stage.loss({name: value.unflatten(0, (4, 2)) for name, value in rows.items()} | {"labels": labels})
    assert seen == [((8, 12), torch.bool, (8, 12))]
