"""What the distilled baselines share: soft targets, layer maps and the plan of a distillation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from powerbert.base.checks import check_number, check_whole
from powerbert.methods.method import Artifacts, Context, StagePlan, final_plan, finetune_plan
from powerbert.models import load_model, num_encoders
from powerbert.stages import Distill, Stage
from powerbert.stages.distill import Objective

MakeStudent = Callable[[Path, Context], PreTrainedModel]
"""Make the untrained student, given the folder of the fine-tuned teacher."""


@dataclass(frozen=True)
class Distillation:
    """Settings of every distillation of the fine-tuned model into a student of fewer encoders.

    Attributes:
        method: name of the method, as in the record.
        encoders: k, the student's number of encoders.
        alpha: weight of the soft targets, 0 to 1.
        temperature: T > 0, which softens the targets.
        epochs: of the student's training; None for those of PoWER-BERT's search and re-training together.

    Raises:
        ConfigError: naming the setting that is out of range.
    """

    method: str
    encoders: int
    alpha: float
    temperature: float
    epochs: int | None

    def __post_init__(self) -> None:
        check_number("method.alpha", self.alpha, high=1.0)
        check_number("method.temperature", self.temperature, strict=True)

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the student has fewer encoders than the teacher."""
        check_whole("method.encoders", self.encoders, high=num_encoders(model_config) - 1)

    def plans(
        self, checkpoint: Path, influence: Mapping[str, Any], student: MakeStudent, objective: Objective
    ) -> list[StagePlan]:
        """Plan the fine-tuning of the teacher and its distillation.

        Args:
            checkpoint: folder of the pretrained model.
            influence: the method's further settings that change the trained student.
            student: makes the student.
            objective: the loss of one batch; a picklable callable, since each device has its own process.
        """

        def build(artifacts: Artifacts, context: Context) -> Stage:
            finetuned = artifacts["finetune"].path
            return Distill(
                student(finetuned, context),
                context.task,
                context.optimization,
                context.seed,
                teacher=load_model(finetuned),
                objective=objective,
            )

        shared = {
            "method": self.method,
            "encoders": self.encoders,
            "alpha": self.alpha,
            "temperature": self.temperature,
        }
        return [finetune_plan(checkpoint), final_plan(self.epochs, {**shared, **influence}, build)]

    def loss(self, student: Any, teacher: Any) -> Tensor:
        """Compute ``(1 - alpha) task loss + alpha T^2 KL(teacher || student)`` from two models' outputs."""
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature)
        return (1 - self.alpha) * student.loss + self.alpha * soft


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute the divergence from the teacher's softened predictions (Hinton et al. 2015), in float32.

    ``T^2 KL(softmax(teacher / T) || softmax(student / T))``, averaged over inputs. The factor T^2 keeps the
    size of the gradient independent of T. For a regression (C = 1) it is the mean squared difference.

    Args:
        student: logits, [B, C].
        teacher: logits, [B, C].
        temperature: T > 0.
    """
    student, teacher = student.float(), teacher.float()
    if student.shape[-1] == 1:
        return F.mse_loss(student, teacher)
    divergence = F.kl_div(
        (student / temperature).log_softmax(-1),
        (teacher / temperature).log_softmax(-1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def evenly_spread(encoders: int, k: int) -> list[int]:
    """Choose the encoders a student starts from: first, last and evenly between (DistilBERT).

    Args:
        encoders: L, of the teacher.
        k: of the student, 1 to L.

    Returns:
        k increasing indices from 0. For (12, 6): 0, 2, 4, 7, 9, 11, the choice of DistilBERT's authors.
    """
    _check_depth(encoders, k)
    return [_rounded(i * (encoders - 1), max(k - 1, 1)) for i in range(k)]


def skip_map(encoders: int, k: int) -> list[int]:
    """Choose the teacher's encoders that a student's first k - 1 imitate (PKD-Skip).

    The student's encoder i imitates encoder i * L / k. The last one is left to the soft targets.

    Args:
        encoders: L, of the teacher.
        k: of the student, 1 to L.

    Returns:
        k - 1 increasing numbers of encoders, counted from 1. For (12, 6): 2, 4, 6, 8, 10.
    """
    _check_depth(encoders, k)
    return [_rounded(i * encoders, k) for i in range(1, k)]


def _check_depth(encoders: int, k: int) -> None:
    if not 1 <= k <= encoders:
        raise ValueError(f"the student of a teacher with {encoders} encoders has 1 to {encoders}, not {k}")


def _rounded(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest whole number, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
