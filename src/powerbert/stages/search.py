"""The configuration search (section 2.2), and what it minimises beside the task's loss."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from powerbert.base.errors import ConfigError
from powerbert.elimination import derive_retention_shares, mass_regularizer
from powerbert.measure.cost import CostModel, reach, retained_by_shares
from powerbert.stages.stage import Batch, Stage, decay_groups


class Regularizer(nn.Module):
    """What makes a search eliminate: a penalty on the retention parameters."""

    @abstractmethod
    def forward(self, soft_extract: Any, progress: float) -> Tensor:
        """Return the penalty, a scalar; `progress` of the search goes from 0 to 1."""

    def after_step(self, soft_extract: Any, progress: float) -> None:
        """Adapt to the retention parameters after an optimizer step."""

    def results(self, soft_extract: Any) -> Mapping[str, Any]:
        """Return what the search found, for the artifact's manifest: the mass, or the shares."""
        if soft_extract.bins:
            return {"shares": derive_retention_shares(soft_extract.shares())}
        return {"mass": soft_extract.mass().tolist()}


class MassRegularizer(Regularizer):
    """The paper's: ``lambda * sum_j j * mass(j)``; a share's mass is that of the longest input."""

    def __init__(self, lambda_: float, max_length: int) -> None:
        super().__init__()
        self.lambda_, self.max_length = lambda_, max_length

    def forward(self, soft_extract: Any, progress: float) -> Tensor:
        """Return the penalty."""
        mass = soft_extract.shares() * self.max_length if soft_extract.bins else soft_extract.mass()
        return self.lambda_ * mass_regularizer(mass)


class CostRegularizer(Regularizer):
    """The cost of what is retained, weighed by lambda or held at a target.

    With lambda the penalty is ``lambda * c * l * L (L + 1) / 2``, c being the cost relative to the fine-tuned
    model: lambda then has the size that it has for the mass, which is ``l`` in each encoder at first.

    A target is reached by an augmented Lagrangian: the penalty ``m e + rho / 2 e^2``, where the excess e is
    c - t if that is positive, else 0. t falls from the cost at the start to the target in the first part of
    the search, and the multiplier m changes by ``ascent (c - t)`` with every step, but not below 0.
    """

    RHO: ClassVar[float] = 10.0
    ASCENT: ClassVar[float] = 0.5
    RAMP: ClassVar[float] = 0.6
    """The part of the search in which the target falls."""

    multiplier: Tensor

    def __init__(
        self,
        cost: CostModel,
        *,
        encoders: int,
        lambda_: float,
        target_speedup: float | None,
        max_length: int,
        cls_alone: bool,
    ) -> None:
        super().__init__()
        self.cost, self.cls_alone = cost, cls_alone
        self.lambda_, self.target_speedup, self.max_length = lambda_, target_speedup, max_length
        self.register_buffer("multiplier", torch.zeros(()))
        least = float(cost(lambda words: torch.ones(encoders, len(words)), cls_alone=cls_alone, exact=True))
        if target_speedup is not None and target_speedup > 1 / least:
            raise ConfigError(
                f"target_speedup: {target_speedup:g} is out of reach: with [CLS] alone after the first of "
                f"{encoders} encoders it would be {1 / least:.1f}; set fewer method.encoders"
            )
        self.start = float(cost(lambda words: words.expand(encoders, -1), cls_alone=cls_alone, exact=True))

    def relative_cost(self, soft_extract: Any) -> Tensor:
        """Compute c, with gradient: what is retained is not rounded, but for its mean."""
        if soft_extract.bins:
            shares = soft_extract.shares().unsqueeze(1)
            return self.cost(lambda words: shares * words + (1 - shares) / 2, cls_alone=self.cls_alone)
        mass = soft_extract.mass().unsqueeze(1)
        return self.cost(lambda words: torch.minimum(mass, words), cls_alone=self.cls_alone)

    def target(self, progress: float) -> float:
        """Return t at some progress of the search."""
        assert self.target_speedup is not None
        fallen = min(1.0, progress / self.RAMP)
        return self.start + (1 / self.target_speedup - self.start) * fallen

    def forward(self, soft_extract: Any, progress: float) -> Tensor:
        """Return the penalty."""
        cost = self.relative_cost(soft_extract)
        if self.target_speedup is None:
            encoders = len(soft_extract.retention_parameters)
            return self.lambda_ * self.max_length * encoders * (encoders + 1) / 2 * cost
        excess = (cost - self.target(progress)).clamp_min(0.0)
        return self.multiplier * excess + self.RHO / 2 * excess.square()

    @torch.no_grad()
    def after_step(self, soft_extract: Any, progress: float) -> None:
        """Change the multiplier."""
        if self.target_speedup is not None:
            self.multiplier += self.ASCENT * (self.relative_cost(soft_extract) - self.target(progress))
            self.multiplier.clamp_min_(0.0)

    @torch.no_grad()
    def results(self, soft_extract: Any) -> Mapping[str, Any]:
        """Return mass or shares, moved onto the target, and the speed-up that the cost predicts."""
        ((name, found),) = super().results(soft_extract).items()
        whole, exact = 1.0 if name == "shares" else float(self.max_length), self._exact_cost(name)
        chosen = list(accumulate(found, min))
        if self.target_speedup is None:
            chosen = without_loss(exact, chosen, whole)
        else:  # again, since what is not eliminated for nothing makes room
            for _ in range(2):
                chosen = without_loss(exact, reach(exact, chosen, 1 / self.target_speedup, whole), whole)
            chosen = reach(exact, chosen, 1 / self.target_speedup, whole)
        chosen = derive_retention_shares(chosen) if name == "shares" else chosen
        return {name: chosen, "searched": found, "predicted_speedup": 1 / exact(chosen)}

    def _exact_cost(self, name: str) -> Callable[[list[float]], float]:
        def retained(values: list[float], words: Tensor) -> Tensor:
            if name == "shares":
                return retained_by_shares(values, words)
            return torch.minimum(words.new_tensor(values).ceil().unsqueeze(1), words)

        return lambda values: float(
            self.cost(lambda words: retained(values, words), cls_alone=self.cls_alone, exact=True)
        )


def without_loss(cost: Callable[[list[float]], float], values: list[float], whole: float) -> list[float]:
    """Do not eliminate at an encoder where that costs no less than to retain what it is given."""
    kept = list(values)
    for encoder in range(len(kept) - 1):
        before = kept[encoder - 1] if encoder else whole
        instead = [*kept[:encoder], before, *kept[encoder + 1 :]]
        if cost(instead) <= cost(kept):
            kept = instead
    return kept


class Search(Stage):
    """Minimise the task's loss plus the regularizer subject to r in [0, 1] (section 2.2).

    The last epoch is kept, since the objective and not the dev metric determines the configuration.
    """

    name = "search"
    keeps = "last"

    def __init__(self, *args: Any, regularizer: Regularizer, retention_learning_rate: float, **kwargs: Any):
        """Take an eliminating model with soft-extract layers, and what `Stage` takes.

        Args:
            retention_learning_rate: peak learning rate of the retention parameters; `optimization` has that
                of all others.
        """
        super().__init__(*args, **kwargs)
        self.regularizer = regularizer
        self.progress = 0.0
        self.retention_learning_rate = retention_learning_rate

    @property
    def soft_extract(self) -> Any:
        """The model's soft-extract layers."""
        return self.model.soft_extract

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Note the progress of the search."""
        super().on_train_batch_start(batch, batch_idx)
        self.progress = self.global_step / max(1, self.trainer.estimated_stepping_batches)

    def loss(self, batch: Batch) -> Tensor:
        """Compute the loss of one batch plus the regularizer."""
        return super().loss(batch) + self.regularizer(self.soft_extract, self.progress)

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
        self.regularizer.after_step(self.soft_extract, self.progress)

    def on_train_epoch_end(self) -> None:
        """Log each encoder's mass, or share, as `search/mass_<j>`, j from 1."""
        of = "share" if self.soft_extract.bins else "mass"
        values = (self.soft_extract.shares() if self.soft_extract.bins else self.soft_extract.mass()).tolist()
        self.log_dict({f"search/{of}_{j}": value for j, value in enumerate(values, start=1)})

    def results(self) -> Mapping[str, Any]:
        """Return the mass or the share of every encoder."""
        return self.regularizer.results(self.soft_extract)
