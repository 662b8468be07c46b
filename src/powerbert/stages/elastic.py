"""Training one model for many retentions at once, and choosing among them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from powerbert.measure.evaluation import predict_logits, task_metrics
from powerbert.measure.metrics import choose_thresholds
from powerbert.stages.stage import Batch, Objective, Stage


class SubModelTraining(Stage):
    """Train sub-models, which share all weights, on what a teacher and the task tell; keep the last epoch.

    Each step takes another one.
    """

    name = "search"
    keeps = "last"

    def __init__(
        self,
        *args: Any,
        sample: Callable[[], Any],
        objective_of: Callable[[Any], Objective],
        explore: Callable[[Any, Any], Mapping[str, Any]],
        **kwargs: Any,
    ):
        """Take a model with shares, the teacher, and what `Stage` takes.

        Args:
            sample: draws the sub-model of a step, with torch's random numbers: a retention, which has
                `encoders` and `shares`; the same in every process.
            objective_of: makes the objective of a sub-model.
            explore: given the trained model and the data, finds the sub-models worth having; returns the
                stage's results.
        """
        super().__init__(*args, **kwargs)
        self.sample, self.objective_of, self.explore = sample, objective_of, explore

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw the step's sub-model, in every process the same."""
        torch.manual_seed(hash((self.seed, self.current_epoch, batch_idx)) & 0x7FFF_FFFF_FFFF)
        self.retention = self.sample()
        super().on_train_batch_start(batch, batch_idx)

    def loss(self, batch: Batch) -> Tensor:
        """Compute the sub-model's objective on one batch."""
        batch, teacher = self.ask_teacher(batch)
        mask = batch["attention_mask"].flatten(0, -2).bool()
        base: Any = self.model.base_model
        base.set_retention(self.retention.shares, self.retention.encoders)
        objective = self.objective_of(self.retention)
        student = self.run_model(batch, output_hidden_states=bool(objective.hidden_states))
        # DDP waits for a gradient of each parameter, also of encoders that the sub-model lacks.
        idle = [layer for n, layer in enumerate(base.host_layers()) if n not in self.retention.encoders]
        unused = sum(p.sum() for layer in idle for p in layer.parameters()) * 0.0
        return objective(student, teacher, mask) + unused

    def complete(self, data: Any) -> None:
        """Find the sub-models worth having."""
        super().complete(data)
        self._results = dict(self.explore(self.model, data))


class Choice(Stage):
    """Train nothing: evaluate a model, which has been trained for many retentions, at each of its speeds."""

    name = "retrain"

    def complete(self, data: Any) -> None:
        """Note the metrics at each speed of the model's config as results."""
        model: Any = self.model
        splits = dict.fromkeys(("dev", data.task.evaluation_split))
        speeds = []
        for entry in model.config.speeds:
            model.base_model.set_speed(entry["speed"])
            metrics, thresholds = {}, None
            for split in splits:
                rows = data.dataset[split]
                logits = predict_logits(model, rows, data.collate, data.eval_batch_size, None)
                if data.task.is_multi_label and split == "dev":
                    labels = torch.as_tensor(rows["label"][:])
                    thresholds = entry["label_thresholds"] = choose_thresholds(logits, labels).tolist()
                metrics[split] = task_metrics(logits, rows, data.task, thresholds)
            speeds.append({**entry, "metrics": metrics})
        model.base_model.set_speed(speeds[0]["speed"])
        self._results = {"speeds": speeds}
