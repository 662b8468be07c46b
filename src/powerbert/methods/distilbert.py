"""DistilBERT (Sanh et al. 2019), distilled on the task: a student of some of its teacher's encoders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from powerbert.base.checks import check_number, check_whole
from powerbert.base.errors import ConfigError
from powerbert.methods.distillation import (
    check_soft_targets,
    distillation_plans,
    evenly_spread,
    soft_target_loss,
)
from powerbert.methods.method import Context, Method, StagePlan
from powerbert.models import load_config, load_host_model, load_model, num_encoders, take_encoders
from powerbert.models.checkpoint import fingerprint, local_or_hub


@dataclass
class DistilBert(Method):
    """Distil the fine-tuned model into k of its encoders; k is swept.

    Minimises ``(1 - alpha) task loss + alpha T^2 KL(teacher || student) + cosine (1 - cos)``. The last term
    compares the word-vectors that leave the last encoders of the two models. The settings are those of
    `conf/method`; ConfigError names one that is out of range.
    """

    name: str
    encoders: int
    alpha: float
    temperature: float
    cosine: float
    student: str | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        check_soft_targets(self.alpha, self.temperature)
        check_number("method.cosine", self.cosine)
        self.distilled = None if self.student is None else local_or_hub(self.student)

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.encoders}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the student is smaller and, for a cosine loss, as wide as its teacher."""
        check_whole("method.encoders", self.encoders, high=num_encoders(model_config) - 1)
        if self.distilled is None:
            return
        start = load_config(self.distilled)
        if num_encoders(start) < self.encoders:
            raise ConfigError(
                f"method.encoders: {self.encoders} exceeds the {num_encoders(start)} encoders of "
                f"method.student {self.distilled}"
            )
        if self.cosine and start.hidden_size != model_config.hidden_size:
            raise ConfigError(
                f"method.student: its hidden size {start.hidden_size} differs from the teacher's "
                f"{model_config.hidden_size}; set method.cosine=0"
            )

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher and distil it."""
        student = None if self.distilled is None else fingerprint(self.distilled)
        influence = {"cosine": self.cosine, "student": student}
        return distillation_plans(checkpoint, self, influence, self._student, self.objective)

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """Compute the loss of one batch; see `stages.Objective`."""
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature)
        loss = (1 - self.alpha) * student.loss + self.alpha * soft
        if not self.cosine:
            return loss
        last = hidden_cosine_loss(student.hidden_states[-1], teacher.hidden_states[-1], mask)
        return loss + self.cosine * last

    def _student(self, finetuned: Path, context: Context) -> Any:
        if self.distilled is None:
            start = load_model(finetuned)
            return take_encoders(start, evenly_spread(num_encoders(start.config), self.encoders))
        start = load_host_model(self.distilled, context.task.kind, **context.task.model_fields())
        return take_encoders(start, range(self.encoders))


def hidden_cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Compute one minus the cosine between two models' word-vectors, in float32.

    Args:
        student: [B, N, D].
        teacher: [B, N, D].
        mask: True where a word is real, [B, N]; the loss is averaged over real words.
    """
    cosine = F.cosine_similarity(student.float(), teacher.float(), dim=-1)
    return (1 - cosine)[mask].mean()
