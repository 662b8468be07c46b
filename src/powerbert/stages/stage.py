"""A training stage: task loss, AdamW with linear warm-up and decay, the dev metric every epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from powerbert.data import Task
from powerbert.measure.metrics import build_metrics

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Optimization:
    """Settings of the optimizer.

    Attributes:
        learning_rate: peak learning rate of the model's own parameters.
        weight_decay: of matrices; biases and LayerNorms have none.
        warmup_ratio: share of the steps during which the learning rate grows.
    """

    learning_rate: float
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1


class Stage(LightningModule):
    """The training loop shared by all stages.

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
        """Take the model to train.

        Args:
            model: a sequence-classification or multiple-choice model.
            seed: of dropout.
            results: JSON-compatible facts about the model for the artifact's manifest.
        """
        super().__init__()
        self.model = model
        self.task = task
        self.optimization = optimization
        self.seed = seed
        self._results = dict(results or {})
        self.metrics = build_metrics(task.metric, task.num_labels)

    def loss(self, batch: Batch) -> Tensor:
        """Compute the task loss of the model on one batch (cross entropy or squared error)."""
        return self.model(**batch).loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's parameter groups; only matrices decay."""
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
        rank, processes = self.global_rank, self.trainer.world_size
        share = share_of(batch, rank, processes)
        inputs = len(share["labels"])
        weight = inputs * processes / len(batch["labels"])
        # DDP waits for a gradient from every process: one without inputs takes any, with weight 0.
        loss = self.loss(share if inputs else share_of(batch, 0, processes))
        self.log(f"{self.name}/train_loss", loss.detach(), prog_bar=True, batch_size=max(inputs, 1))
        return loss * weight

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the metrics; torchmetrics joins the processes when it computes them."""
        batch = share_of(batch, self.global_rank, self.trainer.world_size)
        labels = batch["labels"]
        if len(labels) == 0:
            return
        logits = self.model(**{key: value for key, value in batch.items() if key != "labels"}).logits
        predictions = logits.float().squeeze(-1) if self.task.is_regression else logits.argmax(-1)
        self.metrics.update(predictions, labels)

    def on_validation_epoch_end(self) -> None:
        """Log the dev metrics as `<stage>/dev_<metric>`."""
        self._log_metrics("dev")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch of the evaluation split to the metrics."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the evaluation split as `<stage>/test_<metric>`."""
        self._log_metrics("test")

    def _log_metrics(self, split: str) -> None:
        values = self.metrics.compute()
        self.metrics.reset()
        self.log_dict({f"{self.name}/{split}_{key}": value for key, value in values.items()}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Build AdamW with linear warm-up and linear decay to zero over the stage."""
        # The fused step takes a third of the time on a CPU.
        optimizer: Any = torch.optim.AdamW(
            self.parameter_groups(), lr=self.optimization.learning_rate, fused=True
        )
        # Fused AdamW claims to unscale gradients itself, and Lightning refuses to clip them then.
        optimizer._step_supports_amp_scaling = False
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_linear_schedule_with_warmup(
            optimizer, round(steps * self.optimization.warmup_ratio), steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def monitor(self) -> str:
        """The logged name of the metric that selects the epoch."""
        return f"{self.name}/dev_{self.task.metric}"

    def results(self) -> Mapping[str, Any]:
        """Return what the stage found besides its weights, for the artifact's manifest."""
        return self._results


class FineTune(Stage):
    """Stage 1 (section 2.3): fine-tune the pretrained model; the epoch with the best dev metric is kept."""

    name = "finetune"


class Retrain(Stage):
    """Stage 3 (section 2.3): re-train the reduced model; the epoch with the best dev metric is kept."""

    name = "retrain"


def share_of(batch: Batch, rank: int, processes: int) -> Batch:
    """Return every `processes`-th input of a batch, starting at `rank`.

    All processes read the same batches as a single process would, and each input counts once.

    Args:
        batch: tensors of shape [B, ...].

    Returns:
        Views; empty if the batch has at most `rank` inputs.
    """
    return batch if processes == 1 else {name: tensor[rank::processes] for name, tensor in batch.items()}


def decay_groups(parameters: Iterable[nn.Parameter], optimization: Optimization) -> list[dict[str, Any]]:
    """Split parameters into matrices, which decay, and biases and LayerNorm weights, which do not."""
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in parameters:
        (matrices if parameter.ndim > 1 else vectors).append(parameter)
    return [
        {"params": matrices, "weight_decay": optimization.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
