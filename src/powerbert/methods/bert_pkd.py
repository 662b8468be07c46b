"""BERT-PKD (Sun et al. 2019): a student of the first encoders learns patiently, encoder by encoder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from powerbert.elimination import cls_position, extract_rows
from powerbert.methods.distilled import Distilled
from powerbert.methods.layer_maps import skip_map
from powerbert.methods.losses import patient_loss
from powerbert.methods.method import Context
from powerbert.methods.settings import check_number
from powerbert.models import load_host_model, take_encoders


class BertPkd(Distilled):
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
        super().__init__(name, encoders, alpha, temperature, epochs)
        check_number("beta", beta)
        self.beta = beta

    def influence(self) -> Mapping[str, Any]:
        """The patient loss's weight."""
        return {"beta": self.beta}

    def student(self, checkpoint: Path, finetuned: Path, context: Context) -> PreTrainedModel:
        """The first encoders of the pretrained model, under a new classifier."""
        task = context.task
        pretrained = load_host_model(checkpoint, task.kind, **task.model_fields())
        return take_encoders(pretrained, range(self.encoders))

    def objective(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """The loss of one batch; see `stages.distill.Objective`."""
        imitated = skip_map(len(teacher.hidden_states) - 1, self.encoders)
        patient = patient_loss(
            _cls_states(student.hidden_states, range(1, self.encoders), mask),
            _cls_states(teacher.hidden_states, imitated, mask),
        )
        return self.soft_loss(student, teacher) + self.beta * patient


def _cls_states(hidden_states: Sequence[Tensor], encoders: Sequence[int], mask: Tensor) -> Tensor:
    """[CLS] after each of some encoders, counted from 1, as [B, M, D]."""
    first = cls_position(mask)
    states = [extract_rows(hidden_states[encoder], first) for encoder in encoders]
    return torch.cat(states, dim=1) if states else hidden_states[0][:, :0]
