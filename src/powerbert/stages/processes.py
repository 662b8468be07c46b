"""Train a stage on several devices, with one process per device for the duration of the stage."""

import csv
import logging
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from datetime import timedelta
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import LightningDataModule
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from powerbert.base.errors import ConfigError, UserError, find_user_error
from powerbert.stages.fit import Metrics, fit, make_trainer
from powerbert.stages.stage import Stage

GRACE = 5.0
"""Seconds for the other processes to end by themselves after one has failed."""

SAVING = 25.0
"""Seconds for the processes to save the training on a request to stop; Slurm kills after 30."""


def fit_on_devices(
    stage: Stage,
    data: LightningDataModule,
    settings: Mapping[str, Any],
    loggers: Sequence[Logger],
    checkpoints: Path,
    interval: timedelta = timedelta(minutes=5),
) -> Metrics:
    """Train `stage` as `fit` does, on the devices requested in `settings`.

    With several devices, Lightning's DDP runs in one child process per device while this process waits. Only
    this process holds locks, measures, and writes artifacts and records; no command line runs again, so a
    point of a sweep can use several devices under any launcher. Asked to stop, this process lets its children
    save the training first.

    Raises:
        ConfigError: for several devices with a strategy other than DDP, or for several machines.
        UserError: the one that a child raised, or if a child was killed.
        RuntimeError: with the traceback of the child that failed first, for any other error.
    """
    processes = count_processes(settings)
    work = (stage, data, dict(settings), list(loggers), checkpoints, interval)
    if processes == 1:
        return fit(*work)
    context = multiprocessing.get_context("forkserver")  # imports once and has no CUDA context
    context.set_forkserver_preload(["powerbert.run.pipeline"])
    failures, messages = context.SimpleQueue(), context.Queue()
    listener = QueueListener(messages, *logging.getLogger().handlers, respect_handler_level=True)
    environment = os.environ | {
        "NODE_RANK": "0",
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(find_free_network_port()),
    }
    with tempfile.TemporaryDirectory(dir=checkpoints.parent, prefix="outcome-") as folder:
        outcome = Path(folder) / "outcome.pt"
        # Pickled here: torch would share the tensors' memory, and all processes would train the same ones.
        arguments = (environment, pickle.dumps(work), outcome, failures, messages)
        listener.start()
        ranks = start_processes(_train, arguments, nprocs=processes, join=False, start_method="forkserver")
        try:
            while not ranks.join(grace_period=GRACE):
                pass
        except ProcessException as ended:
            killed = isinstance(ended, ProcessExitedException) and ended.signal_name is not None
            if killed or failures.empty():
                hint = "if that was for lack of memory, lower batch_size"
                raise UserError(f"training on {processes} devices: {ended}; {hint}") from None
            raise failures.get() from None
        except SystemExit:  # `Interrupted`, or a launcher's own
            until = time.monotonic() + SAVING
            for process in ranks.processes:
                process.terminate()
            for process in ranks.processes:
                process.join(max(0.0, until - time.monotonic()))
            raise
        finally:
            for process in ranks.processes:
                process.kill()  # no effect on those that have ended
                process.join()
            listener.stop()
        trained = torch.load(outcome, map_location="cpu", weights_only=True)
    stage.load_state_dict(trained["weights"])
    return trained["metrics"]


def count_processes(settings: Mapping[str, Any]) -> int:
    """Return the number of devices that the arguments of Lightning's Trainer ask for.

    Raises:
        ConfigError: for several devices with a strategy other than DDP, for several machines, or for an
            argument that Lightning refuses.
    """
    if settings.get("num_nodes", 1) != 1:
        raise ConfigError(
            f"trainer.num_nodes: {settings['num_nodes']!r} must be 1; several machines share the points of a "
            "sweep (hydra/launcher=ray or submitit_slurm)"
        )
    trainer = make_trainer(**{**settings, "logger": False, "enable_checkpointing": False})
    strategy: Any = trainer.strategy
    is_ddp = isinstance(strategy, DDPStrategy)
    if (is_ddp and strategy._start_method != "popen") or (trainer.num_devices > 1 and not is_ddp):
        raise ConfigError(f"trainer.strategy: '{settings['strategy']}' is not supported; choose auto or ddp")
    return trainer.num_devices


def _train(
    rank: int, environment: Mapping[str, str], work: bytes, outcome: Path, failures: Any, messages: Any
) -> None:
    """Train in a child process; the first one saves metrics and weights to `outcome`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent sends SIGTERM
    root = logging.getLogger()
    root.addHandler(QueueHandler(messages))
    root.setLevel(logging.INFO if rank == 0 else logging.WARNING)
    os.environ |= {**environment, "LOCAL_RANK": str(rank)}
    try:
        stage, data, settings, loggers, checkpoints, interval = pickle.loads(work)
        if rank == 0:
            _restore_csv_columns(loggers)
        metrics = fit(stage, data, settings, loggers, checkpoints, interval)
        if rank == 0:
            torch.save({"metrics": metrics, "weights": stage.state_dict()}, outcome)
    except Exception as error:
        # The first failure is the cause; the other processes fail later, when they lose their connection.
        told = find_user_error(error)
        failures.put(told or RuntimeError(f"training process {rank} failed:\n{traceback.format_exc()}"))
        raise


def _restore_csv_columns(loggers: Sequence[Logger]) -> None:
    """Give CSV loggers the columns of their files; pickling a logger loses those of earlier stages."""
    for logger in loggers:
        if isinstance(logger, CSVLogger) and Path(logger.experiment.metrics_file_path).exists():
            with open(logger.experiment.metrics_file_path, encoding="utf-8", newline="") as file:
                logger.experiment.metrics_keys = next(csv.reader(file), [])
