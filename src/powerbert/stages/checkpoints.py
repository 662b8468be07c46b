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
from powerbert.base.files import sync
from powerbert.base.interrupt import STOPPING, in_main_thread

log = logging.getLogger(__name__)


class WholeFileIO(TorchCheckpointIO):
    """Write checkpoints atomically.

    Lightning's default copies them from the system's temporary folder, which may be on another file system.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, replacing the file at `path`.

        Raises:
            OSError: if it cannot be written; the earlier file stays.
        """
        assert storage_options is None
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()  # because torch reports a full disk unclearly when it writes a file
        torch.save(checkpoint, buffer)
        part = path.with_name(f"{path.name}.part")
        try:
            part.write_bytes(buffer.getbuffer())
            sync(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            ModelError: naming the file, if it is damaged.
        """
        try:
            return super().load_checkpoint(path, *args, **kwargs)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise ModelError(
                f"{path}: the checkpoint cannot be read ({type(error).__name__}); delete it to train this "
                "stage from the beginning"
            ) from error


class BestEpoch(ModelCheckpoint):
    """Keep the weights of the epoch with the highest value of a metric."""

    def __init__(self, path: Path, monitor: str):
        """Take the path of the checkpoint and the logged name of the metric."""
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
        """Restore the best score so far, even if the folder has moved since."""
        path = self.format_checkpoint_name({})
        best = dict.fromkeys([path], state_dict["best_model_score"]) if state_dict["best_k_models"] else {}
        places = dict.fromkeys(("best_model_path", "kth_best_model_path"), path if best else "")
        super().load_state_dict({**state_dict, **places, "best_k_models": best, "dirpath": self.dirpath})


class Resumption(Checkpoint):
    """Keep the checkpoint from which a training resumes.

    It is written at the end of each epoch, after every `interval` within an epoch, and on a signal to stop.
    The signal is held back until the next batch after which the training can resume, or until the running
    validation ends. A second signal takes effect at once, unless several processes train together: then
    their parent process enforces a time limit. Checkpoints store the state under the name of this class, so
    renaming it breaks the resumption of older ones.
    """

    def __init__(self, path: Path, interval: timedelta):
        """Take the path and the time between two writes; an interval of zero writes after every step."""
        self.path = path
        self.interval = interval.total_seconds()
        self._saved = 0.0
        self._batches = 0
        self._signal: int | None = None
        self._alone = self._logs = True
        self._handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, int]:
        """Return the position within the epoch: the number of finished `batches`."""
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
            # Lightning makes the loader before it reads the checkpoint, so the loader starts at batch 0.
            loader: Any = trainer.train_dataloader
            loader.skip(self._batches)
        self._saved = time.monotonic()
        self._alone, self._logs = trainer.world_size == 1, trainer.is_global_zero
        self._hold_signals()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if the interval is over or a signal is pending."""
        # A checkpoint holds no accumulated gradients, and after the last batch a resumed epoch would skip its
        # validation.
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = self._signal is not None or time.monotonic() - self._saved >= self.interval
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self._save(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; `BestEpoch`, called earlier, has already saved its file."""
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
