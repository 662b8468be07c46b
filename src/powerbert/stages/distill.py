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
"""From the student's output (with the task `loss`), the teacher's and the mask of real words, True or
False [B, N], to the objective. Both outputs hold `logits` and all `hidden_states`; the choices of a
multiple-choice input count as inputs of their own in mask and hidden states."""


class Distill(Stage):
    """Trains a student on the task and on its teacher's outputs; the best epoch on dev is kept."""

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
        """Takes student and teacher.

        Args:
            model: the student.
            task: gives the number of labels and the metric.
            optimization: of the student.
            seed: of dropout.
            teacher: a model for the same task and tokenizer. It is not trained, has no dropout, and is no
                part of the stage's checkpoints.
            objective: of one batch.
        """
        super().__init__(model, task, optimization, seed)
        self._teacher = [teacher.eval().requires_grad_(False)]  # a list, so that it is no submodule
        self.objective = objective

    def on_fit_start(self) -> None:
        """Brings the teacher to where the student is."""
        super().on_fit_start()
        self._teacher[0].to(self.device)

    def loss(self, batch: Batch) -> Tensor:
        """The objective on one batch."""
        inputs: dict[str, Any] = {name: value for name, value in batch.items() if name != "labels"}
        with torch.no_grad():
            teacher = self._teacher[0](**inputs, output_hidden_states=True)
        student = self.model(**batch, output_hidden_states=True)
        return self.objective(student, teacher, batch["attention_mask"].flatten(0, -2).bool())
