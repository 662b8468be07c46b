"""Trains a stage on several devices: a process for each, there for as long as the stage trains."""

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
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from powerbert.base.errors import ConfigError, UserError, find_user_error
from powerbert.stages.fit import ONE_MACHINE, Metrics, fit
from powerbert.stages.stage import Stage

GRACE = 5.0
"""Seconds that the other processes have to end by themselves when one has failed."""

SAVING = 25.0
"""Seconds that they have to save the training when this one is asked to stop: Slurm kills after 30."""


def fit_on_devices(
    stage: Stage,
    data: LightningDataModule,
    settings: Mapping[str, Any],
    loggers: Sequence[Logger],
    checkpoints: Path,
    interval: timedelta = timedelta(minutes=5),
) -> Metrics:
    """Trains `stage` as `fit` does, on the devices that `settings` asks for.

    On several, each has a process of its own with Lightning's DDP, and this one waits. So it stays the only
    one that holds locks, measures, and writes artifacts and records; and a point of a sweep may train on
    several devices whatever has started it, since no command line is run again.

    Args:
        stage: trained in place.
        data: already set up.
        settings: arguments of Lightning's Trainer.
        loggers: where the curves go; the first process writes them.
        checkpoints: as of `fit`.
        interval: as of `fit`.

    Returns:
        As `fit`.

    When this process is asked to stop, the others save the training first, as `fit` does.

    Raises:
        ConfigError: for several devices with another strategy than DDP, or on several machines.
        UserError: what a process raised, if it was one; or if a process was killed.
        RuntimeError: with the traceback of the process that failed first, if it was anything else.
    """
    processes = count_processes(settings)
    if processes == 1:
        return fit(stage, data, settings, loggers, checkpoints, interval)
    context = multiprocessing.get_context("forkserver")  # which imports once, and holds no CUDA
    context.set_forkserver_preload(["powerbert.run.pipeline"])
    failures, messages = context.SimpleQueue(), context.Queue()
    listener = QueueListener(messages, *logging.getLogger().handlers, respect_handler_level=True)
    with tempfile.TemporaryDirectory(dir=checkpoints.parent, prefix="outcome-") as folder:
        outcome = Path(folder) / "outcome.pt"
        # As bytes: torch would hand tensors over in shared memory, and all would train the same ones.
        work = pickle.dumps((stage, data, dict(settings), list(loggers), checkpoints, interval))
        listener.start()
        ranks = start_processes(
            _train,
            (dict(os.environ), processes, find_free_network_port(), work, outcome, failures, messages),
            nprocs=processes,
            join=False,
            start_method="forkserver",
        )
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
            _ask_to_stop(ranks.processes)
            raise
        finally:
            for process in ranks.processes:
                process.kill()  # does nothing to those that have ended
                process.join()
            listener.stop()
        trained = torch.load(outcome, map_location="cpu", weights_only=True)
    stage.load_state_dict(trained["weights"])
    return trained["metrics"]


def count_processes(settings: Mapping[str, Any]) -> int:
    """How many processes a stage trains in: one for each device.

    Args:
        settings: arguments of Lightning's Trainer.

    Raises:
        ConfigError: as of `fit_on_devices`.
    """
    if settings.get("num_nodes", 1) != 1:
        raise ConfigError(
            f"trainer.num_nodes: {settings['num_nodes']!r} must be 1; several machines share the points of a "
            "sweep (hydra/launcher=ray or submitit_slurm)"
        )
    if settings.get("devices") == 1:
        return 1
    chosen = {key: settings[key] for key in ("accelerator", "devices", "strategy") if key in settings}
    trainer = Trainer(**ONE_MACHINE, **chosen, logger=False, enable_checkpointing=False)
    if trainer.num_devices > 1 and not (
        isinstance(trainer.strategy, DDPStrategy) and trainer.strategy._start_method == "popen"
    ):
        raise ConfigError(f"trainer.strategy: '{settings['strategy']}' is not supported; choose auto or ddp")
    return trainer.num_devices


def _ask_to_stop(processes: Sequence[Any]) -> None:
    """Lets processes come to a batch after which the training can be saved; those that do not are left."""
    until = time.monotonic() + SAVING
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))


def _train(
    rank: int,
    environment: dict[str, str],
    processes: int,
    port: int,
    work: bytes,
    outcome: Path,
    failures: Any,
    messages: Any,
) -> None:
    """One of the processes; the first leaves metrics and weights in `outcome`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first passes it on
    root = logging.getLogger()
    root.addHandler(QueueHandler(messages))
    root.setLevel(logging.INFO if rank == 0 else logging.WARNING)
    os.environ |= environment | {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        stage, data, settings, loggers, checkpoints, interval = pickle.loads(work)
        if rank == 0:
            _go_on(loggers)
        metrics = fit(stage, data, settings, loggers, checkpoints, interval)
        if rank == 0:
            torch.save({"metrics": metrics, "weights": stage.state_dict()}, outcome)
    except Exception as error:
        # The first message is the cause: the others lose their connection to this process later.
        told = find_user_error(error)
        failures.put(told or RuntimeError(f"training process {rank} failed:\n{traceback.format_exc()}"))
        raise


def _go_on(loggers: Sequence[Logger]) -> None:
    """Tells a CSV logger the columns that its file has from the stages before: they are not pickled."""
    for logger in loggers:
        if isinstance(logger, CSVLogger) and Path(logger.experiment.metrics_file_path).exists():
            with open(logger.experiment.metrics_file_path, encoding="utf-8", newline="") as file:
                logger.experiment.metrics_keys = next(csv.reader(file), [])
