"""What the benchmark found, as rows of tables."""

from dataclasses import dataclass

from powerbert.benchmark.contestants import Contestant, Role


@dataclass(frozen=True)
class Inference:
    """Forward passes of a contestant at one setting.

    Attributes:
        retention: name of the retention configuration that PoWER-BERT has there.
        length: word pieces of a padded input.
        batch_size: inputs of a batch.
        protocol: a key of `PROTOCOLS`.
        mean_length: word pieces of an input as it was padded, the mean over the batches.
        role: of the contestant.
        runtime: of the contestant.
        ms: for a batch, the median over the runs.
        iqr_ms: interquartile range over the runs.
        runs: number of timed passes.
        speedup: reported time of the host with sdpa in float32, divided by `ms`.
        speedup_lower: lower quartile of the speed-ups within single runs.
        speedup_upper: upper quartile of them.
        speedup_eager: over the eager host, likewise; None where that was not timed.
        speedup_same: over the host on the same runtime, likewise.
        flops: operations for a batch, from the shapes alone.
        flops_ratio: the host's operations by the contestant's.
        efficiency: `speedup` by `flops_ratio`: 1 where all that is saved in operations is saved in time.
        disturbed: whether other processes kept the processors busy; None if unknown.
        others: largest share of the processors that they used in a run.
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
        """Whose times they are."""
        return Contestant(self.role, self.runtime)

    @property
    def time_ratio(self) -> float:
        """Its time by that of the host with sdpa in float32."""
        return 1 / self.speedup


@dataclass(frozen=True)
class Training:
    """A step of the configuration search against one of fine-tuning, at one setting.

    Attributes:
        length: word pieces of a padded input.
        batch_size: inputs of a batch.
        plain_ms: of a step of fine-tuning, the median over the runs.
        plain_iqr_ms: interquartile range over the runs.
        soft_ms: of a step with soft-extract layers, likewise.
        soft_iqr_ms: interquartile range over the runs.
        time_ratio: `soft_ms` divided by `plain_ms`.
        runs: number of timed steps.
        disturbed: whether other processes kept the processors busy; None if unknown.
        others: largest share of the processors that they used in a run.
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
    """The peak of a contestant's memory in one padded forward pass.

    Attributes:
        retention: name of PoWER-BERT's retention configuration; None for the host.
        length: word pieces of a padded input.
        batch_size: inputs of a batch.
        role: of the contestant.
        runtime: of the contestant.
        forward_bytes: what the pass needs on top of what was there before it, weights among that.
        total_bytes: with what was there before it.
        ratio: `forward_bytes` by those of the host with sdpa in float32; None where that was not measured.
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
        """Whose memory it is."""
        return Contestant(self.role, self.runtime)


@dataclass(frozen=True)
class Skipped:
    """What was left out, and why.

    Attributes:
        setting: for people.
        what: was left out.
        reason: in a line.
    """

    setting: str
    what: str
    reason: str


def one_line(error: Exception) -> str:
    """An error as the reason of something that was left out."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]
