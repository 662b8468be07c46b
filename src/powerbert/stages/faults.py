"""Faults that end a training: a loss that is not finite, and too little memory."""

from collections.abc import Callable, Iterator
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
from powerbert.stages.stage import Batch


class FaultReport(Callback):
    """End the training before a NaN or infinite loss reaches the weights; explain a lack of memory.

    The batch of the lost step is saved in `folder` as `nonfinite_batch.safetensors`.
    """

    def __init__(self, folder: Path):
        self.path = folder / "nonfinite_batch.safetensors"
        self._batch: Batch = {}
        self._largest: torch.Size | None = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, *_: Any, **__: Any) -> None:
        """Remember the batch."""
        self._batch = batch

    on_validation_batch_start = on_train_batch_start

    def on_train_batch_end(self, *_: Any) -> None:
        """Record that the batch fitted."""
        shape = self._batch["input_ids"].shape
        if self._largest is None or shape.numel() > self._largest.numel():
            self._largest = shape

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Raise TrainingError, naming the file of the saved batch, if the loss is not finite."""
        if loss.isfinite():
            return
        finite = all(bool(parameter.isfinite().all()) for parameter in pl_module.parameters())
        weights = "finite" if finite else "not finite"
        where = f"epoch {trainer.current_epoch + 1}, step {trainer.global_step + 1}"
        facts = {"loss": str(loss.item()), "where": where, "weights": weights}
        tensors = {name: tensor.contiguous() for name, tensor in self._batch.items()}
        save_file(tensors, self.path, metadata=facts)
        raise TrainingError(
            f"{pl_module.name}: the loss is {loss.item()} in {where}, where the weights are {weights}; the "
            f"batch was saved to {self.path}. A smaller learning_rate or trainer.gradient_clip_val may help"
        )

    def memory_advice(self) -> str:
        """Describe the batch that did not fit, the largest that did, and the remedy."""
        if not self._batch:
            return "out of memory before the first batch; the model itself does not fit"
        shape = self._batch["input_ids"].shape
        fitted = "none fitted before"
        if self._largest is not None:
            fitted = f"the largest that fitted had {_describe(self._largest)}"
        return (
            f"out of memory on a batch of {_describe(shape)}; {fitted}. Set batch_size="
            f"{max(1, shape[0] // 2)}, with trainer.accumulate_grad_batches=2 for as many inputs a step"
        )


@contextmanager
def explaining_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Raise TrainingError with the message `advice()` if the block runs out of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not is_oom_error(error):
            raise
        raise TrainingError(advice()) from error


def _describe(shape: torch.Size) -> str:
    return f"{shape[0]} inputs of {' x '.join(map(str, shape[1:]))} word pieces"
