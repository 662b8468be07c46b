"""BERT-PKD (Sun et al. 2019): a student of the first encoders learns patiently, encoder by encoder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from powerbert.baselines import patient_loss, skip_map, soft_target_loss
from powerbert.elimination import cls_position, extract_rows
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan
from powerbert.methods.settings import check_encoders, check_number
from powerbert.models import load_host_model, load_model, take_encoders
from powerbert.stages import Distill, Stage


class BertPkd(Method):
    """A student of the pretrained model's first k encoders and a new classifier, swept by k.

    Minimises ``(1 - alpha) task loss + alpha T^2 KL(teacher || student) + beta MSE``, the last over the
    l2-normalised [CLS] states of the student's first k - 1 encoders and of those they imitate (PKD-Skip).
    """

    def __init__(
        self,
        name: str,
        encoders: int,
        alpha: float,
        temperature: float,
        beta: float,
        epochs: int | None = None,
    ):
        """Takes the method's settings from `conf/method`.

        Args:
            name: as in the record.
            encoders: k, of the student.
            alpha: weight of the soft targets, 0 to 1.
            temperature: T, which softens the targets.
            beta: weight of the patient loss.
            epochs: of the student's training; None for as many as PoWER-BERT's search and re-training.

        Raises:
            ConfigError: naming the setting that is out of its range.
        """
        check_number("alpha", alpha, high=1.0)
        check_number("temperature", temperature, strict=True)
        check_number("beta", beta)
        self.name = name
        self.encoders = encoders
        self.alpha = alpha
        self.temperature = temperature
        self.beta = beta
        self.epochs = epochs

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.encoders}

    def check(self, model_config: Any) -> None:
        """The student must be smaller than its teacher."""
        check_encoders(self.encoders, model_config)

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher, distil it into the student."""

        def build(artifacts: Artifacts, context: Context) -> Stage:
            task = context.task
            teacher = load_model(artifacts["finetune"].path)
            pretrained = load_host_model(checkpoint, task.kind, **task.model_fields())
            return Distill(
                take_encoders(pretrained, range(self.encoders)),
                task,
                context.optimization,
                context.seed,
                teacher=teacher,
                objective=self.objective,
            )

        influence = {
            "method": self.name,
            **self.knob,
            "alpha": self.alpha,
            "temperature": self.temperature,
            "beta": self.beta,
        }
        return [finetune_plan(checkpoint), final_plan(self.epochs, influence, build)]

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """The loss of one batch; see `stages.distill.Objective`."""
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature)
        loss = (1 - self.alpha) * student.loss + self.alpha * soft
        imitated = skip_map(len(teacher.hidden_states) - 1, self.encoders)
        patient = patient_loss(
            _cls_states(student.hidden_states, range(1, self.encoders), mask),
            _cls_states(teacher.hidden_states, imitated, mask),
        )
        return loss + self.beta * patient


def _cls_states(hidden_states: Sequence[Tensor], encoders: Sequence[int], mask: Tensor) -> Tensor:
    """[CLS] after each of some encoders, counted from 1, as [B, M, D]."""
    first = cls_position(mask)
    states = [extract_rows(hidden_states[encoder], first) for encoder in encoders]
    return torch.cat(states, dim=1) if states else hidden_states[0][:, :0]
