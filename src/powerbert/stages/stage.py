"""The training stages as LightningModules: fine-tuning, configuration search, re-training, distillation."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from transformers import PreTrainedModel, get_linear_schedule_with_warmup
from transformers.utils import ModelOutput

from powerbert.data import Task
from powerbert.elimination import mass_regularizer
from powerbert.measure.metrics import build_metrics
from powerbert.models.attention import quick_long_inputs

Batch = dict[str, Tensor]

Objective = Callable[[ModelOutput, ModelOutput, Tensor], Tensor]
"""Compute a batch's loss from the student's output (with the task `loss`), the teacher's output, and the
boolean mask of real words, [B, N]. Both outputs hold `logits` and all `hidden_states`. In mask and hidden
states each choice of a multiple-choice input is a row."""


@dataclass(frozen=True)
class Optimization:
    """Peak learning rate, weight decay of matrices, and the share of steps with a rising learning rate."""

    learning_rate: float
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1


class Stage(LightningModule):
    """The shared training loop: AdamW with linear warm-up and decay, the dev metric every epoch.

    Attributes:
        name: of the stage; prefix of all that it logs.
        keeps: `best` keeps the epoch with the best dev metric, `last` the last one.
        model: the transformers model; called with a batch that holds `labels`, it returns the task loss.
    """

    name: ClassVar[str]
    keeps: ClassVar[str] = "best"

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        optimization: Optimization,
        seed: int = 0,
        *,
        results: Mapping[str, Any] | None = None,
    ):
        """Take the model, the seed of dropout, and JSON-compatible `results` for the artifact's manifest."""
        super().__init__()
        self.model = model
        self.task = task
        self.optimization = optimization
        self.seed = seed
        self._results = dict(results or {})
        self.metrics = build_metrics(task.metric, task.num_labels)

    def results(self) -> Mapping[str, Any]:
        """Return what the stage found besides its weights, for the artifact's manifest."""
        return self._results

    def loss(self, batch: Batch) -> Tensor:
        """Compute the task loss of the model on one batch (cross entropy or squared error)."""
        return self.model(**batch).loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's parameter groups."""
        return decay_groups(self.model.parameters(), self.optimization)

    def on_fit_start(self) -> None:
        """Turn dropout on: `from_pretrained` turns it off, and Lightning keeps the mode it finds."""
        self.model.train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed each step by seed, epoch, step and rank alone: a resumed run draws the same random numbers."""
        step = hash((self.seed, self.current_epoch, batch_idx, self.global_rank)) & 0x7FFF_FFFF_FFFF
        torch.manual_seed(step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of one step and log it as `<stage>/train_loss`.

        Each process takes its share of the batch. DDP averages the gradients without regard to the sizes of
        the shares, so each process weights its mean loss by the size of its share.
        """
        share = self._share(batch, self.global_rank)
        inputs = len(share["labels"])
        weight = inputs * self.trainer.world_size / len(batch["labels"])
        # DDP waits for a gradient from every process: without inputs it takes the first one's, with weight 0.
        with quick_long_inputs(share["input_ids"]):
            loss = self.loss(share if inputs else self._share(batch, 0))
        self.log(f"{self.name}/train_loss", loss.detach(), prog_bar=True, batch_size=max(inputs, 1))
        return loss * weight

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the metrics; torchmetrics joins the processes when it computes them."""
        batch = self._share(batch, self.global_rank)
        labels = batch.pop("labels")
        if len(labels) == 0:
            return
        logits = self.model(**batch).logits
        predictions = logits.float().squeeze(-1) if self.task.is_regression else logits.argmax(-1)
        self.metrics.update(predictions, labels)

    def on_validation_epoch_end(self) -> None:
        """Log the dev metrics as `<stage>/dev_<metric>`."""
        self._log_metrics("dev")

    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the evaluation split as `<stage>/test_<metric>`."""
        self._log_metrics("test")

    def configure_optimizers(self) -> Any:
        """Build AdamW with linear warm-up and linear decay to zero over the stage."""
        # The fused step takes a third of the time on a CPU.
        optimizer: Any = torch.optim.AdamW(
            self.parameter_groups(), lr=self.optimization.learning_rate, fused=True
        )
        # Fused AdamW claims to unscale gradients itself, and Lightning refuses to clip them then.
        optimizer._step_supports_amp_scaling = False
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = round(steps * self.optimization.warmup_ratio)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share(self, batch: Batch, rank: int) -> Batch:
        """Return a process's inputs, none if the batch has at most `rank`; every input is in one share."""
        return {name: tensor[rank :: self.trainer.world_size] for name, tensor in batch.items()}

    def _log_metrics(self, split: str) -> None:
        values = self.metrics.compute()
        self.metrics.reset()
        self.log_dict({f"{self.name}/{split}_{key}": value for key, value in values.items()}, prog_bar=True)


class FineTune(Stage):
    """Stage 1 (section 2.3): fine-tune the pretrained model; the epoch with the best dev metric is kept."""

    name = "finetune"


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
        """Take an eliminating model with `soft_extract_length` set, and lambda.

        Args:
            retention_learning_rate: peak learning rate of the retention parameters; `optimization` has that
                of all others.
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


class Retrain(Stage):
    """Stage 3 (section 2.3): re-train the reduced model; the epoch with the best dev metric is kept."""

    name = "retrain"


class Distill(Stage):
    """Train a student on the task and its teacher's outputs; keep the epoch with the best dev metric."""

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
        """Take the student `model` and a teacher for the same task and tokenizer, which is not trained."""
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


def decay_groups(parameters: Iterable[nn.Parameter], optimization: Optimization) -> list[dict[str, Any]]:
    """Split parameters into matrices, which decay, and biases and LayerNorm weights, which do not."""
    ordered = list(parameters)
    matrices = [parameter for parameter in ordered if parameter.ndim > 1]
    vectors = [parameter for parameter in ordered if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": optimization.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
