"""DistilBERT (Sanh et al. 2019), distilled on the task: a student of some of its teacher's encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.methods.distilled import Distilled
from powerbert.methods.layer_maps import evenly_spread
from powerbert.methods.losses import hidden_cosine_loss
from powerbert.methods.method import Context
from powerbert.methods.settings import check_number
from powerbert.models import load_config, load_host_model, load_model, num_encoders, take_encoders
from powerbert.models.checkpoint import fingerprint, local_or_hub


class DistilBert(Distilled):
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
        super().__init__(name, encoders, alpha, temperature, epochs)
        check_number("cosine", cosine)
        self.cosine = cosine
        self.distilled = None if student is None else local_or_hub(student)

    def check(self, model_config: Any) -> None:
        """The student must be smaller than its teacher, and for a cosine loss as wide."""
        super().check(model_config)
        if self.distilled is None:
            return
        own = load_config(self.distilled)
        if num_encoders(own) < self.encoders:
            raise ConfigError(
                f"method.encoders: {self.encoders} is beyond the {num_encoders(own)} encoders of "
                f"method.student {self.distilled}"
            )
        if self.cosine and own.hidden_size != model_config.hidden_size:
            raise ConfigError(
                f"method.student: its hidden size {own.hidden_size} is not the teacher's "
                f"{model_config.hidden_size}; set method.cosine=0"
            )

    def influence(self) -> Mapping[str, Any]:
        """The cosine loss's weight, and the distilled checkpoint by its content."""
        return {
            "cosine": self.cosine,
            "student": None if self.distilled is None else fingerprint(self.distilled),
        }

    def student(self, checkpoint: Path, finetuned: Path, context: Context) -> PreTrainedModel:
        """Encoders of the teacher, evenly spread, or the first ones of a distilled checkpoint."""
        if self.distilled is None:
            start = load_model(finetuned)
            return take_encoders(start, evenly_spread(num_encoders(start.config), self.encoders))
        start = load_host_model(self.distilled, context.task.kind, **context.task.model_fields())
        return take_encoders(start, range(self.encoders))

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """The loss of one batch; see `stages.distill.Objective`."""
        loss = self.soft_loss(student, teacher)
        if not self.cosine:
            return loss
        last = hidden_cosine_loss(student.hidden_states[-1], teacher.hidden_states[-1], mask)
        return loss + self.cosine * last
