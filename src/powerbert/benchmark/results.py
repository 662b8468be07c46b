"""Results of a benchmark and `benchmark.json`.

Lengths are word pieces of a padded input, batch sizes inputs per batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from powerbert.base.files import write_synced
from powerbert.benchmark.contestants import Contestant, Role
from powerbert.measure import describe_environment

BENCHMARK_VERSION = 1


@dataclass(frozen=True)
class Inference:
    """Forward passes of a contestant at one setting.

    Attributes:
        mean_length: Mean word pieces of an input with padding.
        ms: Median time of a batch over the runs.
        iqr_ms: Interquartile range over the runs.
        speedup: Time of the host with sdpa in float32, divided by `ms`.
        speedup_lower: Lower quartile of the speed-ups within single runs; `speedup_upper` likewise.
        speedup_eager: Speed-up over the eager host; None if that was not timed.
        speedup_same: Speed-up over the host on the same runtime; None if that was not timed.
        flops: Floating-point operations of a batch, counted from its shape.
        flops_ratio: The host's operations divided by the contestant's.
        efficiency: `speedup` divided by `flops_ratio`; 1 if all saved operations save time.
        disturbed: Whether other processes kept the processors busy; None if unknown.
        others: Largest share of the processors that other processes used in a run.
    """

    retention: str
    length: int
    batch_size: int
    protocol: str
    mean_length: float
    role: Role
    runtime: str
    ms: float
    iqr_ms: float
    runs: int
    speedup: float
    speedup_lower: float
    speedup_upper: float
    speedup_eager: float | None
    speedup_same: float | None
    flops: float
    flops_ratio: float
    efficiency: float
    disturbed: bool | None = None
    others: float | None = None

    @property
    def contestant(self) -> Contestant:
        """The timed contestant."""
        return Contestant(self.role, self.runtime)

    @property
    def time_ratio(self) -> float:
        """Time divided by that of the host with sdpa in float32."""
        return 1 / self.speedup


@dataclass(frozen=True)
class Training:
    """A step of the configuration search compared with a step of fine-tuning at one setting.

    Attributes:
        plain_ms: Median time of a step of fine-tuning.
        soft_ms: Median time of a step with soft-extract layers.
        time_ratio: `soft_ms` divided by `plain_ms`.
        disturbed: Whether other processes kept the processors busy; None if unknown.
        others: Largest share of the processors that other processes used in a run.
    """

    length: int
    batch_size: int
    plain_ms: float
    plain_iqr_ms: float
    soft_ms: float
    soft_iqr_ms: float
    time_ratio: float
    runs: int
    disturbed: bool | None = None
    others: float | None = None


@dataclass(frozen=True)
class Memory:
    """Peak memory of a contestant in one padded forward pass.

    Attributes:
        retention: Name of PoWER-BERT's retention configuration; None for the host.
        forward_bytes: Memory of the pass alone, without weights.
        total_bytes: Memory of the process (on a GPU: of its tensors) at the peak.
        ratio: `forward_bytes` divided by that of the host with sdpa in float32; None if that failed.
    """

    retention: str | None
    length: int
    batch_size: int
    role: Role
    runtime: str
    forward_bytes: int
    total_bytes: int
    ratio: float | None

    @property
    def contestant(self) -> Contestant:
        """The measured contestant."""
        return Contestant(self.role, self.runtime)


@dataclass(frozen=True)
class Skipped:
    """A measurement that was left out: its setting, what it measures, and why."""

    setting: str
    what: str
    reason: str


def one_line(error: Exception) -> str:
    """Describe an error in at most 200 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]


@dataclass
class Findings:
    """All results so far, with the model, the machine and the settings.

    Attributes:
        environment: Result of `environment_of`.
        retentions: For each retention configuration and length, the configuration capped at the length.
    """

    model: str
    inputs: str
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    retentions: Sequence[Mapping[str, Any]]
    inference: list[Inference] = field(default_factory=list)
    training: list[Training] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def machine(self) -> str:
        """Name of the GPU, or of the CPU with its threads."""
        if self.environment["device"] != "cpu":
            return str(self.environment["device"])
        return "{cpu} ({cpu_capability}), {threads} of {cores} cores".format(**self.environment)

    def write_json(self, output: Path) -> None:
        """Write `benchmark.json` to an existing folder."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        found = {"benchmark_version": BENCHMARK_VERSION, "created": created, **asdict(self)}
        write_synced(output / "benchmark.json", found)


def environment_of(device: torch.device) -> dict[str, Any]:
    """Describe machine and software as records do, with further facts that decide a model's speed.

    The additions are `cpu_capability` (the widest instructions that torch uses) and the versions of
    `onnxruntime` and `cuda`, None if missing.
    """
    try:
        onnxruntime = version("onnxruntime")
    except PackageNotFoundError:
        onnxruntime = None
    return {
        **describe_environment(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onnxruntime": onnxruntime,
        "cuda": torch.version.cuda,
    }
