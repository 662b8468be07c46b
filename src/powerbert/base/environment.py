"""The environment of a run: device, versions, machine, commit, W&B."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def default_device() -> torch.device:
    """Return the accelerator if there is one, else the CPU."""
    import torch  # heavy, here and below

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def quick_precision(device: torch.device | None = None) -> str:
    """Return Lightning's name of the quickest precision to train in: bfloat16 products or float32.

    A processor without bfloat16 instructions emulates them, which takes tens of times as long as float32.
    """
    import torch

    device = device or default_device()
    if device.type == "cuda":
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        quick = device.type == "cpu" and any(
            able is True and "bf16" in name for name, able in torch.cpu.get_capabilities().items()
        )
    return "bf16-mixed" if quick else "32-true"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    import torch
    import transformers

    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "powerbert": version("powerbert"),
    }


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout that powerbert runs from, with `-dirty` if tracked files differ.

    None where powerbert is installed elsewhere, or git or a commit is missing.
    """
    here = Path(__file__)
    # An installation may lie within another project's checkout, whose commit says nothing.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def describe_environment(device: torch.device | str | None = None) -> dict[str, Any]:
    """Describe machine and software; never fails.

    Args:
        device: where the models run; None for `default_device`.

    Returns:
        The versions, `platform`, `cpu`, `cores` (logical), `threads` (of torch), `device`, `git_commit`.
    """
    import torch

    device = default_device() if device is None else torch.device(device)
    return {
        **versions(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "git_commit": git_commit(),
    }


def wandb_mode() -> Any:
    """Return WANDB_MODE if set, else `online` if the user is logged in, else `offline`."""
    import wandb

    return os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or platform.machine()
