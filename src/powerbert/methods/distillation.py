"""What the distilled baselines share: soft targets, layer maps and the plan of a distillation."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from powerbert.base.checks import check_number
from powerbert.methods.method import Artifacts, Context, StagePlan, final_plan, finetune_plan
from powerbert.models import load_model
from powerbert.stages import Distill, Objective, Stage

MakeStudent = Callable[[Path, Context], PreTrainedModel]
"""Create the untrained student, given the folder of the fine-tuned teacher."""


def distillation_plans(
    checkpoint: Path, method: Any, influence: Mapping[str, Any], student: MakeStudent, objective: Objective
) -> list[StagePlan]:
    """Plan the fine-tuning of the teacher and its distillation into a student of fewer encoders.

    Args:
        method: has `name`, `encoders` (of the student), `alpha`, `temperature` and `epochs` (as for
            `final_plan`).
        influence: the method's further settings that change the trained student.
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

    shared = {name: getattr(method, name) for name in ("encoders", "alpha", "temperature")}
    final = final_plan(method.epochs, {"method": method.name, **shared, **influence}, build)
    return [finetune_plan(checkpoint), final]


def check_soft_targets(alpha: object, temperature: object) -> None:
    """Raise ConfigError unless alpha, the weight of the soft targets, and their temperature are in range."""
    check_number("method.alpha", alpha, high=1.0)
    check_number("method.temperature", temperature, strict=True)


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute the divergence from the teacher's softened predictions (Hinton et al. 2015), in float32.

    ``T^2 KL(softmax(teacher / T) || softmax(student / T))`` of logits [B, C], averaged over inputs. The
    factor T^2 keeps the size of the gradient independent of T. For a regression (C = 1) it is the mean
    squared difference.
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
    """Choose k of a teacher's encoders, from 0, to start a student from: first, last and evenly between.

    For (12, 6): 0, 2, 4, 7, 9, 11, the choice of DistilBERT's authors.
    """
    return [_divide(i * (encoders - 1), max(k - 1, 1)) for i in range(k)]


def skip_map(encoders: int, k: int) -> list[int]:
    """Choose the teacher's encoders, from 1, that the first k - 1 of a student imitate (PKD-Skip).

    The student's encoder i imitates encoder i * L / k of L: 2, 4, 6, 8, 10 for (12, 6). The last one is left
    to the soft targets.
    """
    return [_divide(i * encoders, k) for i in range(1, k)]


def _divide(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest whole number, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
