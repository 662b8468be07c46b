"""DistilBERT (Sanh et al. 2019), distilled on the task: a student of some of its teacher's encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from powerbert.baselines import evenly_spread, hidden_cosine_loss, soft_target_loss
from powerbert.errors import ConfigError
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan
from powerbert.methods.settings import check_encoders, check_number
from powerbert.models import load_config, load_host_model, load_model, num_encoders, take_encoders
from powerbert.models.checkpoint import fingerprint, local_or_hub
from powerbert.stages import Distill, Stage


class DistilBert(Method):
    """The fine-tuned model distilled into one of k of its encoders, swept by k.

    Minimises ``(1 - alpha) task loss + alpha T^2 KL(teacher || student) + cosine (1 - cos)``, the last over
    the word-vectors that leave the two models' last encoders.
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
        """Takes the method's settings from `conf/method`.

        Args:
            name: as in the record.
            encoders: k, of the student.
            alpha: weight of the soft targets, 0 to 1.
            temperature: T, which softens the targets.
            cosine: weight of the cosine loss.
            student: folder or hub id of a distilled checkpoint whose first k encoders the student begins
                with; None for encoders of the fine-tuned model, evenly spread.
            epochs: of the student's training; None for as many as PoWER-BERT's search and re-training.

        Raises:
            ConfigError: naming the setting that is out of its range.
        """
        check_number("alpha", alpha, high=1.0)
        check_number("temperature", temperature, strict=True)
        check_number("cosine", cosine)
        self.name = name
        self.encoders = encoders
        self.alpha = alpha
        self.temperature = temperature
        self.cosine = cosine
        self.student = None if student is None else local_or_hub(student)
        self.epochs = epochs

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.encoders}

    def check(self, model_config: Any) -> None:
        """The student must be smaller than its teacher, and for a cosine loss as wide."""
        check_encoders(self.encoders, model_config)
        if self.student is None:
            return
        own = load_config(self.student)
        if num_encoders(own) < self.encoders:
            raise ConfigError(
                f"method.encoders: {self.encoders} is beyond the {num_encoders(own)} encoders of "
                f"method.student {self.student}"
            )
        if self.cosine and own.hidden_size != model_config.hidden_size:
            raise ConfigError(
                f"method.student: its hidden size {own.hidden_size} is not the teacher's "
                f"{model_config.hidden_size}; set method.cosine=0"
            )

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher, distil it into the student."""
        influence = {
            "method": self.name,
            **self.knob,
            "alpha": self.alpha,
            "temperature": self.temperature,
            "cosine": self.cosine,
            "student": None if self.student is None else fingerprint(self.student),
        }
        return [finetune_plan(checkpoint), final_plan(self.epochs, influence, self._build)]

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """The loss of one batch; see `stages.distill.Objective`."""
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature)
        loss = (1 - self.alpha) * student.loss + self.alpha * soft
        if not self.cosine:
            return loss
        last = hidden_cosine_loss(student.hidden_states[-1], teacher.hidden_states[-1], mask)
        return loss + self.cosine * last

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        task = context.task
        teacher = load_model(artifacts["finetune"].path)
        if self.student is None:
            start = load_model(artifacts["finetune"].path)
            student = take_encoders(start, evenly_spread(num_encoders(start.config), self.encoders))
        else:
            start = load_host_model(self.student, task.kind, **task.model_fields())
            student = take_encoders(start, range(self.encoders))
        return Distill(
            student,
            task,
            context.optimization,
            context.seed,
            teacher=teacher,
            objective=self.objective,
        )
