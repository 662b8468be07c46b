"""The soft stage of Learned Token Pruning (Kim et al. 2022): learn a threshold for each encoder."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from powerbert.stages.stage import Batch, Stage, decay_groups


class SoftThresholds(Stage):
    """Minimise the task's loss plus the mean of the soft masks of all encoders, weighed by lambda.

    The mean is over the real words of each input, then over inputs and encoders. The last epoch is kept,
    since the objective and not the dev metric determines the thresholds.
    """

    name = "search"
    keeps = "last"

    def __init__(self, *args: Any, regularization: float, threshold_learning_rate: float, **kwargs: Any):
        """Take a model with soft thresholds, and what `Stage` takes.

        Args:
            regularization: lambda.
            threshold_learning_rate: peak learning rate of the thresholds; `optimization` has that of all
                others.
        """
        super().__init__(*args, **kwargs)
        self.regularization = regularization
        self.threshold_learning_rate = threshold_learning_rate
        self._shares: list[Tensor] = []
        self.soft_threshold.register_forward_hook(self._note_share)

    @property
    def soft_threshold(self) -> Any:
        """The model's soft thresholds."""
        return self.model.base_model.soft_threshold

    def loss(self, batch: Batch) -> Tensor:
        """Compute the loss of one batch plus the regularizer."""
        self._shares.clear()
        loss = super().loss(batch)
        penalty = torch.stack(self._shares).mean()
        self._shares.clear()
        return loss + self.regularization * penalty

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give the thresholds a separate learning rate and no weight decay."""
        thresholds = self.soft_threshold.thresholds
        host = [parameter for parameter in self.model.parameters() if parameter is not thresholds]
        return [
            *decay_groups(host, self.optimization),
            {"params": [thresholds], "weight_decay": 0.0, "lr": self.threshold_learning_rate},
        ]

    def on_train_epoch_end(self) -> None:
        """Log each encoder's threshold as `search/threshold_<j>`, j from 1."""
        values = self.soft_threshold.thresholds.tolist()
        self.log_dict({f"search/threshold_{j}": value for j, value in enumerate(values, start=1)})

    def results(self) -> Mapping[str, Any]:
        """Return the thresholds of all encoders; below 0 they remove nothing, as at 0."""
        return {"thresholds": [max(0.0, value) for value in self.soft_threshold.thresholds.tolist()]}

    def _note_share(self, _: Any, inputs: tuple[Tensor, ...], soft_mask: Tensor) -> None:
        if self.training:
            words = inputs[2].sum(dim=1).clamp_min(1)
            self._shares.append((soft_mask.sum(dim=1) / words).mean())
