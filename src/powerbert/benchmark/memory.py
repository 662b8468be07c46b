"""Memory of a forward pass: an estimate beforehand, and the measured peak in a fresh process."""

import ctypes
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import PreTrainedConfig

from powerbert.base.errors import ConfigError
from powerbert.base.progress import progress
from powerbert.benchmark.contestants import HOST, RUNTIMES, Contestant, contestants
from powerbert.benchmark.pair import Pair, Retention
from powerbert.benchmark.results import Row, left_out
from powerbert.measure.latency import Batch

ATTENTION_MATRICES = 3
"""float32 attention matrices held at once without fused attention: before and after softmax, and between."""
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
M_MMAP_THRESHOLD = -3  # a setting in glibc's malloc.h


def forward_bytes(config: PreTrainedConfig, inputs: int, length: int, *, fused: bool) -> int:
    """Estimate an upper bound of a forward pass's memory in float32, without weights.

    The batch has `inputs` sequences of `length` word pieces; `fused` attention never writes its matrices to
    memory.
    """
    feed_forward = getattr(config, "intermediate_size", None) or config.hidden_dim  # DistilBERT's name
    # Queries, keys, values, context, residual and output; the feed-forward network around its activation.
    numbers = inputs * length * (6 * config.hidden_size + 2 * feed_forward)
    if not fused:
        numbers += ATTENTION_MATRICES * inputs * config.num_attention_heads * length**2
    return 4 * numbers


def free_bytes(device: torch.device) -> int:
    """Return the memory that is available on a device; on other devices than CUDA, that of the machine."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return int(psutil.virtual_memory().available)


def check_platform(device: torch.device) -> None:
    """Raise ConfigError if the peak cannot be measured on a device."""
    if device.type != "cuda" and not (device.type == "cpu" and RESET.exists()):
        raise ConfigError("memory: the peak can be measured on a CUDA device, or on the CPU under Linux")


def measure_memory(
    peak: Callable[[Contestant, Retention], tuple[int, int]],
    retentions: Sequence[Retention],
    runtimes: Iterable[str],
    length: int,
    batch_size: int,
) -> tuple[list[Row], list[Row]]:
    """Measure the host once and PoWER-BERT with each retention configuration, by `peak_memory` of a batch.

    Only plain PyTorch runtimes are measured: compiling takes memory itself, and ONNX Runtime keeps what it
    once allocated.

    Returns:
        Rows with `retention` (None for the host), `forward_bytes` (of the pass alone, without weights),
        `total_bytes` (of the process, on a GPU of its tensors, at the peak) and `ratio` (`forward_bytes`
        divided by that of the host with sdpa in float32; None if that failed); and rows of `left_out`.
    """
    everyone = contestants([name for name in runtimes if RUNTIMES[name].kind == "torch"])
    entrants = [
        (contestant, retention)
        for contestant in sorted(everyone, key=lambda one: one != HOST)
        for retention in (retentions if contestant.role == "power" else retentions[:1])
    ]
    rows, skipped, base = [], [], None
    for contestant, retention in progress(entrants, "Peak memory"):
        try:
            forward, total = peak(contestant, retention)
        except Exception as error:  # a failure must not cost the other results
            skipped.append(left_out(f"memory, length {length}", contestant.label, error))
            continue
        base = forward if contestant == HOST else base
        rows.append(
            {
                "retention": retention.name if contestant.role == "power" else None,
                "length": length,
                "batch_size": batch_size,
                "role": contestant.role,
                "runtime": contestant.runtime,
                "forward_bytes": forward,
                "total_bytes": total,
                "ratio": None if base is None else forward / base,
            }
        )
    return rows, skipped


def peak_memory(
    make_pair: Callable[[], Pair],
    batch: Batch,
    device: torch.device,
    contestant: Contestant,
    retention: Retention,
) -> tuple[int, int]:
    """Measure a contestant in a fresh process, which calls `make_pair`, with as many threads as this one.

    Returns:
        The bytes of the pass alone, and the total at the peak.

    Raises:
        MemoryError: If the process was killed, as when the system runs out of memory.
    """
    arrays = {name: tensor.numpy() for name, tensor in batch.items()}
    threads = torch.get_num_threads()
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, make_pair, arrays, device, contestant, retention, threads).result()
        except BrokenProcessPool as error:
            raise MemoryError("the process was killed, most likely for lack of memory") from error


def _measure(
    make_pair: Callable[[], Pair],
    arrays: dict[str, Any],
    device: torch.device,
    contestant: Contestant,
    retention: Retention,
    threads: int,
) -> tuple[int, int]:
    torch.set_num_threads(threads)
    if device.type == "cpu" and hasattr(ctypes.CDLL(None), "mallopt"):
        # Give each freed tensor back to the system at once: memory kept from building the model would
        # otherwise be reused and change the peak. Only glibc has the setting.
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
    batch = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    model = contestant.build(make_pair(), retention, batch, Path())
    little = {name: tensor[:1, ..., :8].contiguous() for name, tensor in batch.items()}
    with torch.inference_mode():
        model(**little)  # loads libraries and starts threads
        before = reset_peak(device)
        model(**batch)
        after = peak_bytes(device)
    return after - before, after


def reset_peak(device: torch.device) -> int:
    """Reset the peak and return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    RESET.write_text("5", encoding="ascii")
    return peak_bytes(device)


def peak_bytes(device: torch.device) -> int:
    """Return the peak of the bytes in use since `reset_peak`."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="ascii"))
    assert found is not None
    return 1024 * int(found[1])
