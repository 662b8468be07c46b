"""Checkpoints: the best epoch, and the file from which an interrupted training resumes."""

import io
import logging
import signal
import time
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from powerbert.base.errors import ModelError
from powerbert.base.files import write_whole
from powerbert.base.interrupt import STOPPING, in_main_thread

log = logging.getLogger(__name__)


class WholeFileIO(TorchCheckpointIO):
    """Replace checkpoints atomically, and raise ModelError for a damaged one.

    Lightning's default copies from the system's temporary folder, which may be on another file system.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; if that fails with an OSError, the earlier file stays."""
        buffer = io.BytesIO()  # torch reports a full disk unclearly when it writes a file itself
        torch.save(checkpoint, buffer)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path, "wb") as file:
            file.write(buffer.getbuffer())

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint."""
        try:
            return super().load_checkpoint(path, *args, **kwargs)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise ModelError(
                f"{path}: the checkpoint cannot be read ({type(error).__name__}); delete it to train this "
                "stage from the beginning"
            ) from error


class BestEpoch(ModelCheckpoint):
    """Keep the weights of the epoch with the highest value of the logged metric `monitor`."""

    def __init__(self, path: Path, monitor: str):
        super().__init__(
            path.parent,
            filename=path.stem,
            monitor=monitor,
            mode="max",
            save_weights_only=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, which Lightning drops if the folder has moved since."""
        if not state_dict["best_k_models"]:
            return
        path = self.format_checkpoint_name({})
        here = {
            "dirpath": self.dirpath,
            "best_model_path": path,
            "kth_best_model_path": path,
            "best_k_models": {path: state_dict["best_model_score"]},
        }
        super().load_state_dict(state_dict | here)


class Resumption(Checkpoint):
    """Write the checkpoint from which a training resumes.

    It is written at the end of each epoch, within an epoch after every `interval`, and on a signal to stop.
    The signal is held back until the next batch after which the training can resume, or until the end of the
    running validation. A second signal takes effect at once, unless several processes train together: their
    parent process enforces a time limit. Checkpoints store the state under this class's name.
    """

    def __init__(self, path: Path, interval: timedelta):
        self.path = path
        self.interval = interval.total_seconds()
        self._saved = 0.0
        self._batches = 0
        self._signal: int | None = None
        self._alone = self._logs = True
        self._handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, int]:
        """Return the number of finished batches of the epoch."""
        return {"batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restore the position within the epoch."""
        self._batches = state_dict["batches"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Skip the finished batches of the epoch, and hold signals back from now on."""
        if trainer.ckpt_path is not None:
            epoch, steps = trainer.current_epoch + 1, trainer.global_step
            log.info("%s: resuming in epoch %d, after %d steps", pl_module.name, epoch, steps)
        if self._batches:
            # Lightning creates the loader before it reads the checkpoint, so the loader starts at batch 0.
            loader: Any = trainer.train_dataloader
            loader.skip(self._batches)
        self._saved = time.monotonic()
        self._alone, self._logs = trainer.world_size == 1, trainer.is_global_zero
        self._hold_signals()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if the interval is over or a signal is pending."""
        # A checkpoint holds no accumulated gradients; after the last batch, a resumed epoch would skip its
        # validation.
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = self._signal is not None or time.monotonic() - self._saved >= self.interval
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self._save(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; `BestEpoch`, called earlier, has saved its file."""
        self._save(trainer, 0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the signal handlers."""
        self._release_signals()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers without saving, since a step may be incomplete."""
        self._release_signals()

    def _save(self, trainer: Trainer, batches: int) -> None:
        self._batches = batches
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved = time.monotonic()
        if trainer.strategy.reduce_boolean_decision(self._signal is not None, all=False):
            self._signal = self._signal or signal.SIGTERM  # another process received it
            self._release_signals()
            self._hold_signals()  # the handler returned, so the training continues

    def _hold_signals(self) -> None:
        if in_main_thread():
            heeded = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
            self._handlers = {number: signal.signal(number, self._on_signal) for number in heeded}

    def _release_signals(self) -> None:
        """Restore the former handlers, then deliver a pending signal."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._handlers = {}
        pending, self._signal = self._signal, None
        if pending is not None:
            signal.raise_signal(pending)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        again, self._signal = self._signal is not None, number
        if again and self._alone:
            self._release_signals()
        elif not again and self._logs:
            name = signal.Signals(number).name
            log.warning("%s: stopping once the training is saved; again to stop at once", name)
