"""DistilBERT (Sanh et al. 2019), distilled on the task: a student of some of its teacher's encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from powerbert.base.checks import check_number
from powerbert.base.errors import ConfigError
from powerbert.methods.distillation import Distillation, evenly_spread
from powerbert.methods.method import Context, Method, StagePlan
from powerbert.models import load_config, load_host_model, load_model, num_encoders, take_encoders
from powerbert.models.checkpoint import fingerprint, local_or_hub


class DistilBert(Method):
    """Distil the fine-tuned model into k of its encoders; k is swept.

    Minimises ``(1 - alpha) task loss + alpha T^2 KL(teacher || student) + cosine (1 - cos)``. The last term
    compares the word-vectors that leave the last encoders of the two models.
    """

    def __init__(
        self,
        name: str,
        encoders: int,
        alpha: float,
        temperature: float,
        cosine: float,
        student: str | None = None,
        epochs: int | None = None,
    ):
        """Check the settings of `conf/method`.

        Args:
            cosine: weight of the cosine loss; settings not listed are those of `Distillation`.
            student: folder or hub id of a distilled checkpoint whose first k encoders start the student;
                None for evenly spread encoders of the fine-tuned model.

        Raises:
            ConfigError: naming the setting that is out of range.
        """
        self.distillation = Distillation(name, encoders, alpha, temperature, epochs)
        check_number("method.cosine", cosine)
        self.name = name
        self.cosine = cosine
        self.distilled = None if student is None else local_or_hub(student)

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.distillation.encoders}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the student is smaller and, for a cosine loss, as wide as its teacher."""
        self.distillation.check(model_config)
        if self.distilled is None:
            return
        start = load_config(self.distilled)
        if num_encoders(start) < self.distillation.encoders:
            raise ConfigError(
                f"method.encoders: {self.distillation.encoders} exceeds the {num_encoders(start)} encoders "
                f"of method.student {self.distilled}"
            )
        if self.cosine and start.hidden_size != model_config.hidden_size:
            raise ConfigError(
                f"method.student: its hidden size {start.hidden_size} differs from the teacher's "
                f"{model_config.hidden_size}; set method.cosine=0"
            )

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher and distil it."""
        influence = {
            "cosine": self.cosine,
            "student": None if self.distilled is None else fingerprint(self.distilled),
        }
        return self.distillation.plans(checkpoint, influence, self._student, self.objective)

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """Compute the loss of one batch; see `stages.distill.Objective`."""
        loss = self.distillation.loss(student, teacher)
        if not self.cosine:
            return loss
        last = hidden_cosine_loss(student.hidden_states[-1], teacher.hidden_states[-1], mask)
        return loss + self.cosine * last

    def _student(self, finetuned: Path, context: Context) -> Any:
        k = self.distillation.encoders
        if self.distilled is None:
            start = load_model(finetuned)
            return take_encoders(start, evenly_spread(num_encoders(start.config), k))
        start = load_host_model(self.distilled, context.task.kind, **context.task.model_fields())
        return take_encoders(start, range(k))


def hidden_cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Compute one minus the cosine between two models' word-vectors, averaged over real words, in float32.

    Args:
        student: [B, N, D].
        teacher: [B, N, D].
        mask: True where a word is real, [B, N].
    """
    cosine = F.cosine_similarity(student.float(), teacher.float(), dim=-1)
    return (1 - cosine)[mask].mean()
