"""BERT-PKD (Sun et al. 2019): a student of the first encoders learns patiently, encoder by encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from powerbert.base.checks import check_number, check_whole
from powerbert.elimination import cls_position, extract_rows
from powerbert.methods.distillation import check_soft_targets, distillation_plans, skip_map, soft_target_loss
from powerbert.methods.method import Context, Method, StagePlan
from powerbert.models import load_host_model, num_encoders, take_encoders


@dataclass
class BertPkd(Method):
    """Distil into the pretrained model's first k encoders with a new classifier; k is swept.

    Minimises ``(1 - alpha) task loss + alpha T^2 KL(teacher || student) + beta MSE``. The last term compares
    the l2-normalised [CLS] states of the student's first k - 1 encoders with those they imitate (PKD-Skip).
    The settings are those of `conf/method`; ConfigError names one that is out of range.
    """

    name: str
    encoders: int
    alpha: float
    temperature: float
    beta: float
    epochs: int | None = None

    def __post_init__(self) -> None:
        check_soft_targets(self.alpha, self.temperature)
        check_number("method.beta", self.beta)

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.encoders}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the student is smaller than its teacher."""
        check_whole("method.encoders", self.encoders, high=num_encoders(model_config) - 1)

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher and distil it into the first encoders of the pretrained model."""

        def student(_: Path, context: Context) -> Any:
            pretrained = load_host_model(checkpoint, context.task.kind, **context.task.model_fields())
            return take_encoders(pretrained, range(self.encoders))

        return distillation_plans(checkpoint, self, {"beta": self.beta}, student, self.objective)

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """Compute the loss of one batch; see `stages.Objective`."""
        imitated = skip_map(len(teacher.hidden_states) - 1, self.encoders)
        patient = patient_loss(
            _cls_states(student.hidden_states, range(1, self.encoders), mask),
            _cls_states(teacher.hidden_states, imitated, mask),
        )
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature)
        return (1 - self.alpha) * student.loss + self.alpha * soft + self.beta * patient


def patient_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the mean squared difference between l2-normalised [CLS] states, in float32.

    Args:
        student: [CLS] after M of its encoders, [B, M, D]; the loss is 0 if M is 0.
        teacher: [CLS] after the M encoders that these imitate, [B, M, D].
    """
    if student.shape[1] == 0:
        return student.new_zeros((), dtype=student.float().dtype)
    return F.mse_loss(F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1))


def _cls_states(hidden_states: Sequence[Tensor], encoders: Sequence[int], mask: Tensor) -> Tensor:
    """Collect [CLS] after each of M encoders, counted from 1, as [B, M, D]."""
    first = cls_position(mask)
    states = [extract_rows(hidden_states[encoder], first) for encoder in encoders]
    return torch.cat(states, dim=1) if states else hidden_states[0][:, :0]
