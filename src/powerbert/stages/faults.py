"""Faults that end a training: a loss that is not finite, and too little memory."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.memory import is_oom_error
from safetensors.torch import save_file
from torch import Tensor

from powerbert.base.errors import TrainingError

Batch = Mapping[str, Tensor]
Shape = tuple[int, ...]

LOST_BATCH = "nonfinite_batch.safetensors"


class FiniteLoss(Callback):
    """End the training before a NaN or infinite loss reaches the weights, and save the batch."""

    def __init__(self, folder: Path):
        """Take the folder for `nonfinite_batch.safetensors`."""
        self.path = folder / LOST_BATCH
        self._batch: Batch = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Remember the batch."""
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Check the loss.

        Raises:
            TrainingError: naming the file of the saved batch, if the loss is not finite.
        """
        if loss.isfinite():
            return
        finite = all(bool(parameter.isfinite().all()) for parameter in pl_module.parameters())
        weights = "finite" if finite else "not finite"
        where = f"epoch {trainer.current_epoch + 1}, step {trainer.global_step + 1}"
        facts = {"loss": str(loss.item()), "where": where, "weights": weights}
        save_file(
            {name: tensor.contiguous() for name, tensor in self._batch.items()}, self.path, metadata=facts
        )
        raise TrainingError(
            f"{pl_module.name}: the loss is {loss.item()} in {where}, where the weights are {weights}; the "
            f"batch was saved to {self.path}. A smaller learning_rate or trainer.gradient_clip_val may help"
        )


class BatchSizes(Callback):
    """Track the largest batch that fitted and the current one.

    Attributes:
        fitted: shape of the largest batch's `input_ids`; None before the first.
        tried: shape of the current batch's `input_ids`.
    """

    fitted: Shape | None = None
    tried: Shape | None = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Record the shape."""
        self.tried = tuple(batch["input_ids"].shape)

    def on_train_batch_end(self, *_: Any) -> None:
        """Record that the batch fitted."""
        assert self.tried is not None
        if self.fitted is None or _pieces(self.tried) > _pieces(self.fitted):
            self.fitted = self.tried

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Record the shape."""
        self.tried = tuple(batch["input_ids"].shape)

    def advice(self) -> str:
        """Describe the batch that did not fit, the largest that did, and the remedy."""
        if self.tried is None:
            return "out of memory before the first batch; the model itself does not fit"
        fitted = f"the largest that fitted had {_words(self.fitted)}" if self.fitted else "none fitted before"
        half = max(1, self.tried[0] // 2)
        return (
            f"out of memory on a batch of {_words(self.tried)}; {fitted}. Set batch_size={half}, with "
            "trainer.accumulate_grad_batches=2 for as many inputs a step"
        )


@contextmanager
def explaining_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Turn a lack of memory on the device or machine into a TrainingError with `advice()` as its message.

    Raises:
        TrainingError: if the block runs out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not is_oom_error(error):
            raise
        raise TrainingError(advice()) from error


def _pieces(shape: Shape) -> int:
    return torch.Size(shape).numel()


def _words(shape: Shape) -> str:
    return f"{shape[0]} inputs of {' x '.join(map(str, shape[1:]))} word pieces"
