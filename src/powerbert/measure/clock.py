"""The time of one call, and the spread of several."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Wall-clock time of a call, with the device idle before and after.

    Args:
        call: without arguments.
        device: where it computes.
    """
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return (time.perf_counter() - start) * 1e3


def synchronize(device: torch.device) -> None:
    """Waits until a device is idle; a CPU always is, when a call returns."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def interquartile_range(values: Sequence[float]) -> float:
    """The distance of the quartiles, in the unit of the values; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return upper - lower
