"""The file from which an interrupted training goes on, whatever it was doing."""

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
    """Checkpoints that appear whole or not at all.

    Lightning's own are copied from the system's temporary folder where that is another file system.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes a checkpoint.

        Args:
            checkpoint: what to save.
            path: of the file, which is replaced.
            storage_options: must be None.

        Raises:
            OSError: if it cannot be written; the file that was there stays.
        """
        assert storage_options is None
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()  # torch reports a full disk unclearly where it writes the file itself
        torch.save(checkpoint, buffer)
        part = path.with_name(f"{path.name}.part")
        try:
            part.write_bytes(buffer.getbuffer())
            sync(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Reads a checkpoint.

        Args:
            path: of the file.
            args: as of Lightning's own.
            kwargs: as of Lightning's own.

        Raises:
            ModelError: naming the file, if it is damaged.
        """
        try:
            return super().load_checkpoint(path, *args, **kwargs)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise ModelError(
                f"{path}: the checkpoint cannot be read ({type(error).__name__}); delete it to train this "
                "stage from its beginning"
            ) from error


class BestEpoch(ModelCheckpoint):
    """Keeps the weights of the epoch with the highest value of a metric."""

    def __init__(self, path: Path, monitor: str):
        """Takes place and metric.

        Args:
            path: of the checkpoint.
            monitor: the metric's logged name.
        """
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
        """Takes over what was best so far, also where the folder has been moved or is mounted elsewhere."""
        path = self.format_checkpoint_name({})
        best = dict.fromkeys([path], state_dict["best_model_score"]) if state_dict["best_k_models"] else {}
        places = dict.fromkeys(("best_model_path", "kth_best_model_path"), path if best else "")
        super().load_state_dict({**state_dict, **places, "best_k_models": best, "dirpath": self.dirpath})


class Resumption(Checkpoint):
    """Keeps the checkpoint from which a training goes on.

    It is written at the end of each epoch, within an epoch after every `interval`, and when the process is
    asked to stop: the signal then waits for the next batch after which the training can go on, or for the
    validation that is under way. A second signal does not wait, unless several processes train together: then
    the one that has started them sees to that.
    """

    def __init__(self, path: Path, interval: timedelta):
        """Takes place and pace.

        Args:
            path: of the checkpoint.
            interval: time after which it is written again; zero for after each optimizer step.
        """
        self.path = path
        self.interval = interval.total_seconds()
        self._saved = 0.0
        self._batches = 0
        self._signal: int | None = None
        self._alone = self._speaks = True
        self._handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, int]:
        """The position within the epoch: `batches` that are done."""
        return {"batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Takes the position that a checkpoint holds."""
        self._batches = state_dict["batches"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Goes to where the training goes on, and lets signals wait."""
        if trainer.ckpt_path is not None:
            epoch, steps = trainer.current_epoch + 1, trainer.global_step
            log.info("%s: going on in epoch %d, after %d steps", pl_module.name, epoch, steps)
        if self._batches:
            # Lightning would not: it has made the loader before it read the checkpoint, to count the steps.
            loader: Any = trainer.train_dataloader
            loader.skip(self._batches)
        self._saved = time.monotonic()
        self._alone, self._speaks = trainer.world_size == 1, trainer.is_global_zero
        self._hold()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where the interval is over or a signal waits."""
        # Accumulated gradients are in no checkpoint, and an epoch that only lacks its validation goes on
        # without it.
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = self._signal is not None or time.monotonic() - self._saved >= self.interval
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self._save(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves; the callback that keeps the best epoch has done so before."""
        self._save(trainer, 0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gives the signals back."""
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Gives the signals back; nothing is saved, since the training may be amid a step."""
        self._release()

    def _save(self, trainer: Trainer, batches: int) -> None:
        self._batches = batches
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved = time.monotonic()
        if trainer.strategy.reduce_boolean_decision(self._signal is not None, all=False):
            self._signal = self._signal or signal.SIGTERM  # another rank was asked
            self._release()
            self._hold()  # whoever handles the signal has decided to go on

    def _hold(self) -> None:
        if in_main_thread():
            heeded = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
            self._handlers = {number: signal.signal(number, self._note) for number in heeded}

    def _release(self) -> None:
        """Gives the signals back to who handled them before, first of all the one that waits."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._handlers = {}
        waiting, self._signal = self._signal, None
        if waiting is not None:
            signal.raise_signal(waiting)

    def _note(self, number: int, _: FrameType | None) -> None:
        again, self._signal = self._signal is not None, number
        if again and self._alone:
            self._release()
        elif not again and self._speaks:
            name = signal.Signals(number).name
            log.warning("%s: stopping once the training is saved; again to stop at once", name)
