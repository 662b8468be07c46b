"""What the distilled baselines share: a student of k encoders, taught by labels and its teacher's logits."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from powerbert.methods.losses import soft_target_loss
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan
from powerbert.methods.settings import check_encoders, check_number
from powerbert.models import load_model
from powerbert.stages import Distill, Stage


class Distilled(Method):
    """The fine-tuned model distilled into a student of k encoders, swept by k.

    A subclass says which encoders the student begins with and what it imitates besides the logits.
    """

    def __init__(self, name: str, encoders: int, alpha: float, temperature: float, epochs: int | None):
        """Takes the settings that all students have.

        Args:
            name: as in the record.
            encoders: k, of the student.
            alpha: weight of the soft targets, 0 to 1.
            temperature: T, which softens the targets.
            epochs: of the student's training; None for as many as PoWER-BERT's search and re-training.

        Raises:
            ConfigError: naming the setting that is out of its range.
        """
        check_number("alpha", alpha, high=1.0)
        check_number("temperature", temperature, strict=True)
        self.name = name
        self.encoders = encoders
        self.alpha = alpha
        self.temperature = temperature
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
            finetuned = artifacts["finetune"].path
            return Distill(
                self.student(checkpoint, finetuned, context),
                context.task,
                context.optimization,
                context.seed,
                teacher=load_model(finetuned),
                objective=self.objective,
            )

        influence = {
            "method": self.name,
            **self.knob,
            "alpha": self.alpha,
            "temperature": self.temperature,
            **self.influence(),
        }
        return [finetune_plan(checkpoint), final_plan(self.epochs, influence, build)]

    def soft_loss(self, student: Any, teacher: Any) -> Tensor:
        """``(1 - alpha) task loss + alpha T^2 KL(teacher || student)`` of one batch's outputs."""
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature)
        return (1 - self.alpha) * student.loss + self.alpha * soft

    @abstractmethod
    def influence(self) -> Mapping[str, Any]:
        """The subclass's own settings that change the trained student."""

    @abstractmethod
    def student(self, checkpoint: Path, finetuned: Path, context: Context) -> PreTrainedModel:
        """The student before its training.

        Args:
            checkpoint: folder of the pretrained model.
            finetuned: folder of the teacher.
            context: of the stage.
        """

    @abstractmethod
    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """The loss of one batch; see `stages.distill.Objective`."""
