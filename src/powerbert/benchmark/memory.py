"""The peak memory of one forward pass, of each contestant in a fresh process."""

import ctypes
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from powerbert.base.errors import ConfigError
from powerbert.base.progress import progress
from powerbert.benchmark.contestants import HOST, Contestant, contestants
from powerbert.benchmark.inputs import Inputs
from powerbert.benchmark.pair import Pair
from powerbert.benchmark.results import Memory, Skipped, one_line
from powerbert.benchmark.retention import Retention
from powerbert.benchmark.runtimes import RUNTIMES, Place, Torch
from powerbert.benchmark.settings import Settings
from powerbert.measure.latency import Batch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_M_MMAP_THRESHOLD = -3  # in glibc's malloc.h


def measure_memory(
    make_pair: Callable[[], Pair],
    inputs: Inputs,
    retentions: Sequence[Retention],
    length: int,
    batch_size: int,
    settings: Settings,
) -> tuple[list[Memory], list[Skipped]]:
    """Measures the host once and PoWER-BERT with each retention configuration, on one padded batch.

    Only PyTorch, operation by operation, is measured: compiling takes memory of its own, and ONNX Runtime
    keeps what it has once had.

    Args:
        make_pair: makes the models; it is sent to the processes.
        inputs: what they are measured on.
        retentions: the configurations.
        length: word pieces of a padded input.
        batch_size: inputs of the batch.
        settings: which runtimes, and the device.

    Returns:
        A row for each contestant, and what was left out.
    """
    (batch,) = inputs.batches("padded", batch_size, length, 1)
    rows: list[Memory] = []
    skipped = []
    base = None
    for contestant, retention in progress(list(_entrants(settings.runtimes, retentions)), "Peak memory"):
        place = contestant.place(retention, batch, settings.device, Path())
        try:
            forward, total = peak_memory(make_pair, contestant, retention, batch, place)
        except Exception as error:  # one failure is no reason to lose the others
            skipped.append(Skipped(f"memory, length {length}", contestant.label, one_line(error)))
            continue
        base = forward if contestant == HOST else base
        name = retention.name if contestant.role == "power" else None
        ratio = None if base is None else forward / base
        rows.append(
            Memory(name, length, batch_size, contestant.role, contestant.runtime, forward, total, ratio)
        )
    return rows, skipped


def _entrants(
    runtimes: Sequence[str], retentions: Sequence[Retention]
) -> Iterator[tuple[Contestant, Retention]]:
    """Who is measured, with what PoWER-BERT retains; the baseline goes first."""
    operation_by_operation = [name for name in runtimes if type(RUNTIMES[name]) is Torch]
    everyone = contestants(operation_by_operation)
    for contestant in sorted(everyone, key=lambda one: one != HOST):
        for retention in retentions if contestant.role == "power" else retentions[:1]:
            yield contestant, retention


def peak_memory(
    make_pair: Callable[[], Pair], contestant: Contestant, retention: Retention, batch: Batch, place: Place
) -> tuple[int, int]:
    """Measures a contestant in a process of its own.

    Args:
        make_pair: makes the models; it is sent to the process.
        contestant: who.
        retention: what PoWER-BERT retains.
        batch: what it is measured on.
        place: where it runs.

    Returns:
        The bytes that the pass needs on top of what was there before it, and those with what was.

    Raises:
        MemoryError: if the process ended without an answer, as when the system runs out of memory.
        Exception: whatever the contestant raised.
    """
    arrays = {name: tensor.numpy() for name, tensor in batch.items()}
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, make_pair, contestant, retention, arrays, place).result()
        except BrokenProcessPool as error:
            raise MemoryError("the process was ended, most likely for want of memory") from error


def check_platform(device: torch.device) -> None:
    """Makes sure that the peak can be measured.

    Args:
        device: where the models run.

    Raises:
        ConfigError: if it cannot.
    """
    if device.type != "cuda" and not (device.type == "cpu" and _RESET.exists()):
        raise ConfigError("memory: the peak can be measured on a CUDA device, or on the CPU under Linux")


def _measure(
    make_pair: Callable[[], Pair],
    contestant: Contestant,
    retention: Retention,
    arrays: dict[str, np.ndarray],
    place: Place,
) -> tuple[int, int]:
    torch.set_num_threads(place.threads)
    if place.device.type == "cpu":
        _return_freed_memory()
    forward = RUNTIMES[contestant.runtime].build(contestant.make(make_pair(), retention), place)
    batch = {name: torch.from_numpy(array).to(place.device) for name, array in arrays.items()}
    little = {name: tensor[:1, ..., :8].contiguous() for name, tensor in batch.items()}
    with torch.inference_mode():
        forward(little)  # loads libraries and starts threads
        before = _start(place.device)
        forward(batch)
        after = _peak(place.device)
    return after - before, after


def _return_freed_memory() -> None:
    """Has the C library give every tensor pages of its own, which go back to the system with it.

    It would else keep what is freed while a model is built, and the peak would depend on what of that can be
    used again. Other libraries than glibc have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 16)


def _start(device: torch.device) -> int:
    """Forgets the peak so far, and tells what is taken, in bytes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    _RESET.write_text("5", encoding="ascii")
    return _peak(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
    assert found is not None
    return 1024 * int(found[1])
