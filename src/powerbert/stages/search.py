"""Stage 2 (sections 2.2 and 2.3): learn the retention parameters of the soft-extract layers."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from powerbert.data import Task
from powerbert.elimination import mass_regularizer
from powerbert.stages.stage import Batch, Optimization, Stage, decay_groups


class Search(Stage):
    """Minimise task loss + lambda * sum_j j * mass(j; r) subject to r in [0, 1] (section 2.2).

    The last epoch is kept, since the objective and not the dev metric determines the configuration.
    """

    name = "search"
    keeps = "last"

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        optimization: Optimization,
        seed: int = 0,
        *,
        lambda_: float,
        retention_learning_rate: float,
    ):
        """Take a model with soft-extract layers.

        Args:
            model: an eliminating model with `soft_extract_length` set.
            optimization: of all other parameters.
            lambda_: weight of the regularizer.
            retention_learning_rate: peak learning rate of the retention parameters.
        """
        super().__init__(model, task, optimization, seed)
        self.lambda_ = lambda_
        self.retention_learning_rate = retention_learning_rate

    @property
    def soft_extract(self) -> Any:
        """The model's soft-extract layers."""
        return self.model.soft_extract

    def loss(self, batch: Batch) -> Tensor:
        """Compute the task loss plus the mass-weighted L1 regularizer."""
        return super().loss(batch) + self.lambda_ * mass_regularizer(self.soft_extract.mass())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give the retention parameters a separate learning rate and no weight decay."""
        retention = list(self.soft_extract.parameters())
        own = {id(parameter) for parameter in retention}
        host = [parameter for parameter in self.model.parameters() if id(parameter) not in own]
        return [
            *decay_groups(host, self.optimization),
            {"params": retention, "weight_decay": 0.0, "lr": self.retention_learning_rate},
        ]

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Project the retention parameters back onto [0, 1] after every optimizer step."""
        super().optimizer_step(*args, **kwargs)
        self.soft_extract.clip_()

    def on_train_epoch_end(self) -> None:
        """Log each encoder's mass as `search/mass_<j>`, j from 1."""
        mass = self.soft_extract.mass().tolist()
        self.log_dict({f"search/mass_{j}": value for j, value in enumerate(mass, start=1)})

    def results(self) -> Mapping[str, Any]:
        """Return the mass of every encoder."""
        return {"mass": self.soft_extract.mass().tolist()}
