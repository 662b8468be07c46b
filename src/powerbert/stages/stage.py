"""The training loop that all stages share, as a LightningModule; fine-tuning and re-training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, get_linear_schedule_with_warmup
from transformers.modeling_outputs import SequenceClassifierOutput

from powerbert.data import QUERY, TEACHER_LOGITS, Task, TextDataModule, recombine
from powerbert.measure.evaluation import decide, predict_logits, readable
from powerbert.measure.metrics import PER_CLASS, LabelMetrics, build_metrics
from powerbert.models.attention import quick_long_inputs

Batch = dict[str, Tensor]


class Objective(Protocol):
    """What a student learns from its teacher; picklable, since each device has its own process."""

    @property
    def hidden_states(self) -> bool | Literal["cls"]:
        """Which hidden states both outputs must hold: all, those of [CLS] at least, or none."""

    def __call__(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """Compute a batch's loss from the outputs of both models and the mask of real words, [B, N].

        The student's output has the task's `loss`, None for recombined inputs. In mask and hidden states each
        choice of a multiple-choice input is a row.
        """


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
        class_weights: of each class in the task loss, [classes], if any; of labels those of their presence.
        tables: of the classes, by split, of the last evaluation.
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
        teacher: PreTrainedModel | None = None,
        objective: Objective | None = None,
        recombined: float = 0.0,
        results: Mapping[str, Any] | None = None,
    ):
        """Take the model, the seed of dropout, and JSON-compatible `results` for the artifact's manifest.

        With an objective the model learns it from a teacher for the same task and tokenizer, which is not
        trained; else it learns the task alone. `recombined` is the share of the batches that it learns
        recombined, from the teacher alone.
        """
        super().__init__()
        self.model = model
        self.task = task
        self.optimization = optimization
        self.seed = seed
        self.objective = objective
        self.recombined = recombined
        if objective is not None and objective.hidden_states == "cls":
            base: Any = self.model.base_model
            base.only_cls_states = True
        # in a list, which hides it from state_dict
        self._teacher = [] if teacher is None else [teacher.eval().requires_grad_(False)]
        self._results = dict(results or {})
        self.class_weights: Tensor | None = None
        self.metrics = build_metrics(task)
        self.tables: dict[str, dict[str, Any]] = {}

    def complete(self, data: Any) -> None:
        """Do what follows the training, before the model is saved; `data` is the data module.

        The thresholds of labels become part of the model's config.
        """
        if isinstance(self.metrics, LabelMetrics):
            self.model.config.label_thresholds = self.metrics.thresholds.tolist()

    def results(self) -> Mapping[str, Any]:
        """Return what the stage found besides its weights, for the artifact's manifest."""
        return self._results

    def loss(self, batch: Batch) -> Tensor:
        """Compute the objective on one batch, without one the task loss (cross entropy or squared error)."""
        if self.objective is None:
            return self.run_model(batch).loss
        batch, teacher = self.ask_teacher(batch)
        student = self.run_model(batch, output_hidden_states=bool(self.objective.hidden_states))
        return self.objective(student, teacher, batch["attention_mask"].flatten(0, -2).bool())

    def run_model(self, batch: Batch, **kwargs: Any) -> Any:
        """Run the model; its output has the task loss with the weights of the classes."""
        output = self.model(**batch, **kwargs)
        if self.class_weights is not None and output.loss is not None:
            output.loss = weighted_loss(output.logits, batch["labels"], self.class_weights)
        return output

    @torch.no_grad()
    def ask_teacher(self, batch: Batch) -> tuple[Batch, Any]:
        """Return the batch to learn, recombined perhaps, and what the teacher says of it.

        The output has the hidden states that the objective needs. Logits that the batch has are taken out of
        it.
        """
        assert self.objective is not None
        batch = dict(batch)
        logits = batch.pop(TEACHER_LOGITS, None)
        if self.recombined and torch.rand(()) < self.recombined:
            batch = recombine(batch, self.model.config.pad_token_id or 0)
        elif logits is not None:
            return batch, SequenceClassifierOutput(logits=logits)
        inputs: dict[str, Any] = {name: value for name, value in batch.items() if name != "labels"}
        return batch, self._teacher[0](**inputs, output_hidden_states=bool(self.objective.hidden_states))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's parameter groups."""
        return decay_groups(self.model.parameters(), self.optimization)

    def setup(self, stage: str) -> None:
        """Add the teacher's logits to the training rows if they alone count and all epochs see all rows."""
        trainer: Any = self.trainer
        data = trainer.datamodule
        if stage != "fit" or not isinstance(data, TextDataModule):
            return
        rows = data.dataset["train"]
        if TEACHER_LOGITS in rows.column_names:  # of an earlier stage
            rows = rows.remove_columns(TEACHER_LOGITS)
        logits_only = self.objective is not None and not self.objective.hidden_states
        limit = trainer.limit_train_batches  # a number of batches, or a share of them
        all_rows = isinstance(limit, float) and limit == 1.0
        if logits_only and trainer.max_epochs > 1 and all_rows:
            teacher: Any = self._teacher[0].to(trainer.strategy.root_device)
            with trainer.precision_plugin.forward_context():
                told = predict_logits(teacher, rows, data.collate, data.eval_batch_size, "Asking the teacher")
            rows = rows.add_column(TEACHER_LOGITS, told.tolist())
        data.dataset["train"] = rows

    def on_fit_start(self) -> None:
        """Turn dropout on: `from_pretrained` turns it off, and Lightning keeps the mode it finds."""
        self.model.train()
        for teacher in self._teacher:
            teacher.to(self.device)

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
        labels, queries = batch.pop("labels"), batch.pop(QUERY, None)
        if len(labels) == 0:
            return
        logits = self.model(**batch).logits
        if isinstance(self.metrics, LabelMetrics):
            self.metrics.update(logits, labels)
        else:
            self.metrics.update(decide(logits, self.task), labels.flatten(), indexes=queries)

    def on_validation_epoch_end(self) -> None:
        """Log the dev metrics as `<stage>/dev_<metric>`; those of labels at thresholds chosen on dev."""
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
        thresholds = None
        if isinstance(self.metrics, LabelMetrics):
            self.metrics.chooses, thresholds = split == "dev", self.metrics.thresholds
        values = readable(self.metrics.compute(), self.task, thresholds)
        self.metrics.reset()
        if (table := values.pop(PER_CLASS, None)) is not None:
            self.tables[split] = table
        self.log_dict({f"{self.name}/{split}_{key}": value for key, value in values.items()}, prog_bar=True)


class FineTune(Stage):
    """Stage 1 (section 2.3): fine-tune the pretrained model; the epoch with the best dev metric is kept."""

    name = "finetune"


class Retrain(Stage):
    """Stage 3 (section 2.3): re-train the reduced model; the epoch with the best dev metric is kept."""

    name = "retrain"


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Compute the task loss with weights of the classes, in float32.

    Of a single class it is the mean over inputs of the cross entropy times the weight of the right class. It
    is not divided by the weights' sum, so what several devices compute of their shares of a batch adds up. Of
    labels it is the mean over inputs and labels of the binary cross entropy, in which the presence of a label
    counts by its weight.

    Args:
        logits: [B, classes].
        labels: Class indices, [B], or 0 and 1, [B, classes].
        weights: [classes].
    """
    logits, weights = logits.float(), weights.to(logits.device)
    if labels.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)
    return (F.cross_entropy(logits, labels, reduction="none") * weights[labels]).mean()


def decay_groups(parameters: Iterable[nn.Parameter], optimization: Optimization) -> list[dict[str, Any]]:
    """Split parameters into matrices, which decay, and biases and LayerNorm weights, which do not."""
    ordered = list(parameters)
    matrices = [parameter for parameter in ordered if parameter.ndim > 1]
    vectors = [parameter for parameter in ordered if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": optimization.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
