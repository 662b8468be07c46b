"""Losses by which a student imitates its teacher. Computed in float32 at least.

Shapes: B inputs, C classes, N word-vectors, M encoders, D hidden size.
"""

from torch import Tensor
from torch.nn import functional as F


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence from the teacher's softened predictions (Hinton et al. 2015).

    ``T^2 KL(softmax(teacher / T) || softmax(student / T))``, the mean over inputs; the factor keeps the
    gradient's size independent of T. A regression (C = 1) has nothing to soften: there it is the mean squared
    difference, whatever T.

    Args:
        student: logits, [B, C].
        teacher: logits, [B, C].
        temperature: T > 0.

    Returns:
        A scalar.
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


def hidden_cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """One minus the cosine between the two models' word-vectors, the mean over real words (DistilBERT).

    Args:
        student: [B, N, D].
        teacher: [B, N, D].
        mask: True where a word is real, [B, N].

    Returns:
        A scalar.
    """
    cosine = F.cosine_similarity(student.float(), teacher.float(), dim=-1)
    return (1 - cosine)[mask].mean()


def patient_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference between l2-normalised [CLS] states (BERT-PKD).

    Args:
        student: [CLS] after M of its encoders, [B, M, D].
        teacher: [CLS] after the M encoders that these imitate, [B, M, D].

    Returns:
        A scalar; 0 if M is 0.
    """
    if student.shape[1] == 0:
        return student.new_zeros((), dtype=student.float().dtype)
    return F.mse_loss(F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1))
