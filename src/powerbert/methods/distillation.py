"""What a student learns from its teacher, which encoders correspond, and the plan of a distillation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from powerbert.base.checks import check_number
from powerbert.methods.method import Artifacts, Context, StagePlan, final_plan, finetune_plan

if TYPE_CHECKING:
    from torch import Tensor

    from powerbert.stages import Stage


@dataclass(frozen=True)
class Distillation:
    """``(1 - alpha) task loss + alpha T^2 KL(teacher || student) + beta patient + cosine (1 - cos)``.

    The patient term compares [CLS] after some encoders (BERT-PKD), the last one the word-vectors that leave
    the last encoders (DistilBERT). Inputs without labels have no task loss. It is a `stages.Objective`.

    Attributes:
        imitated: pairs of encoders, from 1, of student and teacher that the patient term compares.
        binary: whether each logit tells a probability of its own: of relevance in reranking, or of a label.
    """

    alpha: float
    temperature: float
    beta: float = 0.0
    cosine: float = 0.0
    imitated: Sequence[tuple[int, int]] = ()
    binary: bool = False

    def __post_init__(self) -> None:
        check_soft_targets(self.alpha, self.temperature)
        for name in ("beta", "cosine"):
            check_number(f"method.{name}", getattr(self, name))

    @property
    def hidden_states(self) -> bool | Literal["cls"]:
        """Which hidden states the outputs must hold."""
        return True if self.cosine else "cls" if self.beta else False

    def __call__(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """Compute the loss of one batch."""
        soft = soft_target_loss(student.logits, teacher.logits, self.temperature, self.binary)
        loss = self.alpha * soft
        if student.loss is not None:
            loss = loss + (1 - self.alpha) * student.loss
        if self.beta:
            own = _cls_states(student.hidden_states, [number for number, _ in self.imitated], mask)
            its = _cls_states(teacher.hidden_states, [number for _, number in self.imitated], mask)
            loss = loss + self.beta * patient_loss(own, its)
        if self.cosine:
            loss = loss + self.cosine * hidden_cosine_loss(
                student.hidden_states[-1], teacher.hidden_states[-1], mask
            )
        return loss


MakeStudent = Callable[[Path, Context], Any]
"""Create the untrained student, given the folder of the fine-tuned teacher."""


def distillation_plans(
    checkpoint: Path,
    method: Any,
    influence: Mapping[str, Any],
    student: MakeStudent,
    objective: Callable[[int], Distillation],
) -> list[StagePlan]:
    """Plan the fine-tuning of the teacher and its distillation into a student of fewer encoders.

    Args:
        method: has `name`, `encoders` (of the student), `alpha`, `temperature` and `epochs` (as for
            `final_plan`).
        influence: the method's further settings that change the trained student.
        objective: makes the objective, given the teacher's number of encoders.
    """

    def build(artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import load_model, num_encoders  # heavy, here and below
        from powerbert.stages import Retrain

        finetuned = artifacts["finetune"].path
        teacher = load_model(finetuned)
        learnt = objective(num_encoders(teacher.config))
        return Retrain(
            student(finetuned, context),
            context.task,
            context.optimization,
            context.seed,
            teacher=teacher,
            objective=replace(learnt, binary=context.task.has_binary_logits),
        )

    shared = {name: getattr(method, name) for name in ("encoders", "alpha", "temperature")}
    final = final_plan(method.epochs, {"method": method.name, **shared, **influence}, build)
    return [finetune_plan(checkpoint), final]


def check_soft_targets(alpha: object, temperature: object) -> None:
    """Raise ConfigError unless alpha, the weight of the soft targets, and their temperature are in range."""
    check_number("method.alpha", alpha, high=1.0)
    check_number("method.temperature", temperature, strict=True)


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float, binary: bool = False) -> Tensor:
    """Compute the divergence from the teacher's softened predictions (Hinton et al. 2015), in float32.

    ``T^2 KL(softmax(teacher / T) || softmax(student / T))`` of logits [B, C], averaged over inputs. The
    factor T^2 keeps the size of the gradient independent of T. For a regression (C = 1) it is the mean
    squared difference. A ``binary`` logit is one outcome's, beside a 0 for the other, as of a label: the
    divergence is the cross entropy with ``sigmoid(teacher / T)`` up to a constant, averaged over inputs and
    logits, as the task loss is.
    """
    from torch.nn import functional as F

    student, teacher = student.float(), teacher.float()
    if binary:
        student, teacher = (F.pad(logits.reshape(-1, 1), (1, 0)) for logits in (student, teacher))
    if student.shape[-1] == 1:
        return F.mse_loss(student, teacher)
    divergence = F.kl_div(
        (student / temperature).log_softmax(-1),
        (teacher / temperature).log_softmax(-1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def patient_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the mean squared difference between l2-normalised [CLS] states, in float32.

    Args:
        student: [CLS] after M of its encoders, [B, M, D]; the loss is 0 if M is 0.
        teacher: [CLS] after the M encoders that these imitate, [B, M, D].
    """
    from torch.nn import functional as F

    if student.shape[1] == 0:
        return student.new_zeros((), dtype=student.float().dtype)
    return F.mse_loss(F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1))


def _cls_states(hidden_states: Sequence[Tensor], encoders: Sequence[int], mask: Tensor) -> Tensor:
    """Collect [CLS] after each of M encoders, counted from 1, as [B, M, D].

    Hidden states are all word-vectors, [B, N, D], or those of [CLS], [B, 1, D].
    """
    import torch

    from powerbert.elimination import cls_position, extract_rows

    first = cls_position(mask)
    of = [hidden_states[encoder] for encoder in encoders]
    states = [state if state.shape[1] < mask.shape[1] else extract_rows(state, first) for state in of]
    return torch.cat(states, dim=1) if states else hidden_states[0][:, :0]


def hidden_cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Compute one minus the cosine between two models' word-vectors, in float32.

    Args:
        student: [B, N, D].
        teacher: [B, N, D].
        mask: True where a word is real, [B, N]; the loss is averaged over real words.
    """
    from torch.nn import functional as F

    cosine = F.cosine_similarity(student.float(), teacher.float(), dim=-1)
    return (1 - cosine)[mask].mean()


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
