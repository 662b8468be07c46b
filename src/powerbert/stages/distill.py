"""The training of a student that imitates a fine-tuned teacher."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from powerbert.data import Task
from powerbert.stages.stage import Batch, Optimization, Stage

Objective = Callable[[ModelOutput, ModelOutput, Tensor], Tensor]
"""Compute a batch's loss from the student's output (with the task `loss`), the teacher's output, and the
boolean mask of real words, [B, N]. Both outputs hold `logits` and all `hidden_states`. In mask and hidden
states each choice of a multiple-choice input is a row."""


class Distill(Stage):
    """Train a student on the task and its teacher's outputs; the epoch with the best dev metric is kept."""

    name = "retrain"

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        optimization: Optimization,
        seed: int = 0,
        *,
        teacher: PreTrainedModel,
        objective: Objective,
    ):
        """Take student and teacher.

        Args:
            model: the student.
            teacher: a model for the same task and tokenizer. It is not trained, has no dropout, and is not
                saved in the stage's checkpoints.
        """
        super().__init__(model, task, optimization, seed)
        self._teacher = [teacher.eval().requires_grad_(False)]  # in a list, which hides it from state_dict
        self.objective = objective

    def on_fit_start(self) -> None:
        """Move the teacher to the student's device."""
        super().on_fit_start()
        self._teacher[0].to(self.device)

    def loss(self, batch: Batch) -> Tensor:
        """Compute the objective on one batch."""
        inputs: dict[str, Any] = {name: value for name, value in batch.items() if name != "labels"}
        with torch.no_grad():
            teacher = self._teacher[0](**inputs, output_hidden_states=True)
        student = self.model(**batch, output_hidden_states=True)
        return self.objective(student, teacher, batch["attention_mask"].flatten(0, -2).bool())
