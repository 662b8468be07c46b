"""Forward passes of all contestants, and training steps, timed in turn."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.filesize import decimal
from transformers import PreTrainedModel

from powerbert.benchmark.contestants import EAGER, HOST, RUNTIMES, Compiled, Contestant, contestants
from powerbert.benchmark.inputs import Inputs
from powerbert.benchmark.memory import forward_bytes, free_bytes
from powerbert.benchmark.pair import Pair
from powerbert.benchmark.results import Inference, Skipped, Training, one_line
from powerbert.benchmark.settings import Cell, Settings
from powerbert.data import Task
from powerbert.measure import count_flops
from powerbert.measure.latency import Batch
from powerbert.measure.timing import Times, time_in_turn
from powerbert.stages import FineTune, Optimization, Search, Stage

log = logging.getLogger(__name__)


class InferenceBenchmark:
    """Times the forward passes of all contestants, cell by cell."""

    def __init__(self, pair: Pair, inputs: Inputs, settings: Settings, folder: Path):
        """Keep what all cells share; exported files in `folder` take a few times the size of the weights."""
        self.pair, self.inputs, self.settings, self.folder = pair, inputs, settings, folder
        self._flops: dict[tuple[int, int, int], float] = {}

    def measure(self, cell: Cell) -> tuple[list[Inference], list[Skipped]]:
        """Time all contestants at one setting; return a row for each protocol and contestant."""
        settings = self.settings
        if any(isinstance(RUNTIMES[name], Compiled) for name in settings.runtimes):
            torch.compiler.reset()  # so that this cell's first shape is compiled as the first
        batches = {
            protocol: self.inputs.batches(
                protocol, cell.batch_size, cell.length, settings.dynamic_batches, settings.device
            )
            for protocol in settings.protocols
        }
        everything = [batch for of_protocol in batches.values() for batch in of_protocol]
        models, skipped = self._admit(cell, max(everything, key=lambda batch: batch["input_ids"].numel()))
        rows = []
        for protocol, of_protocol in batches.items() if HOST in models else ():
            rounds = [
                {one: partial(model, **batch) for one, model in models.items()} for batch in of_protocol
            ]
            with torch.inference_mode():
                times = time_in_turn(rounds, settings.device, settings.schedule)
            rows += self._rows(cell, protocol, of_protocol, times)
        return rows, skipped

    def _admit(self, cell: Cell, batch: Batch) -> tuple[dict[Contestant, Any], list[Skipped]]:
        """Build every contestant that is available and survives one pass, the baseline first."""
        models: dict[Contestant, Any] = {}
        skipped: list[Skipped] = []
        everyone = contestants(self.settings.runtimes)
        for contestant in sorted(everyone, key=lambda one: one != HOST):
            reason = self._too_large(contestant, batch)
            reason = reason or RUNTIMES[contestant.runtime].unavailable(self.settings.device)
            try:
                if reason is None:
                    model = contestant.build(self.pair, cell.retention, batch, self.folder)
                    with torch.inference_mode():
                        model(**batch)
                    models[contestant] = model
            except Exception as error:  # a failing runtime must not cost the times of the others
                log.debug("%s failed", contestant.label, exc_info=True)
                reason = one_line(error)
            if reason is not None:
                skipped.append(Skipped(str(cell), contestant.label, reason))
            if HOST not in models:
                skipped.append(Skipped(str(cell), "everything else", "there is nothing to compare it with"))
                break
        return {one: models[one] for one in everyone if one in models}, skipped

    def _too_large(self, contestant: Contestant, batch: Batch) -> str | None:
        """Say why a contestant does not fit into memory; None if it does."""
        *inputs, length = batch["input_ids"].shape
        sequences = torch.Size(inputs).numel()
        needed = forward_bytes(self.pair.config, sequences, length, fused=contestant.fused)
        needed += self.pair.weight_bytes
        free = free_bytes(self.settings.device)
        return (
            None
            if needed <= free
            else (f"it may need {decimal(needed)} of memory, and {decimal(free)} are free")
        )

    def _rows(
        self, cell: Cell, protocol: str, batches: Sequence[Batch], times: Times[Contestant]
    ) -> list[Inference]:
        operations = {
            "host": self._count(self.pair.host(), batches),
            "power": self._count(self.pair.power(cell.retention), batches),
        }
        rows = []
        for contestant in times.runs:
            speedup = times.speedup(contestant, HOST)
            lower, upper = times.speedup_range(contestant, HOST)
            same = Contestant("host", contestant.runtime)
            ratio = operations["host"] / operations[contestant.role]
            rows.append(
                Inference(
                    retention=cell.retention.name,
                    length=cell.length,
                    batch_size=cell.batch_size,
                    protocol=protocol,
                    mean_length=sum(batch["input_ids"].shape[-1] for batch in batches) / len(batches),
                    role=contestant.role,
                    runtime=contestant.runtime,
                    ms=times.ms(contestant),
                    iqr_ms=times.iqr_ms(contestant),
                    runs=len(times.runs[contestant]),
                    speedup=speedup,
                    speedup_lower=lower,
                    speedup_upper=upper,
                    speedup_eager=times.speedup(contestant, EAGER) if EAGER in times.runs else None,
                    speedup_same=times.speedup(contestant, same) if same in times.runs else None,
                    flops=operations[contestant.role],
                    flops_ratio=ratio,
                    efficiency=speedup / ratio,
                    disturbed=times.disturbed,
                    others=times.others,
                )
            )
        return rows

    def _count(self, model: PreTrainedModel, batches: Sequence[Batch]) -> float:
        """Count the operations of a batch, as the mean over the batches."""
        total = 0.0
        for batch in batches:
            inputs, *choices, length = batch["input_ids"].shape
            key = (id(model), length, choices[0] if choices else 1)
            if key not in self._flops:
                self._flops[key] = count_flops(model, length, num_choices=key[2])
            total += inputs * self._flops[key]  # all inputs of a batch cost the same
        return total / len(batches)


OPTIMIZATION = Optimization(learning_rate=2e-5)
LAMBDA, RETENTION_LEARNING_RATE = 1e-3, 3e-3


def measure_training(
    pair: Pair, inputs: Inputs, length: int, batch_size: int, settings: Settings
) -> Training:
    """Time steps of fine-tuning and of the configuration search, in turn.

    A step is forward pass, loss (with the regularizer), backward pass, optimizer and projection, in float32
    with dropout, on one padded batch with made-up labels. Both models train copies of the pair's weights.
    """
    outputs = pair.config.num_labels or 1
    names = None if outputs == 1 else tuple(map(str, range(outputs)))
    task = Task("benchmark", ("text",), names, "spearman" if names is None else "accuracy", length)
    plain = FineTune(pair.plain(), task, OPTIMIZATION).to(settings.device)
    soft = Search(
        pair.soft(length),
        task,
        OPTIMIZATION,
        lambda_=LAMBDA,
        retention_learning_rate=RETENTION_LEARNING_RATE,
    ).to(settings.device)
    (batch,) = inputs.batches("padded", batch_size, length, 1, settings.device)
    kind = torch.float32 if task.is_regression else torch.int64
    batch["labels"] = torch.zeros(batch_size, dtype=kind, device=settings.device)
    steps = {
        "plain": partial(training_step(plain), batch),
        "soft": partial(training_step(soft, project=soft.soft_extract.clip_), batch),
    }
    times = time_in_turn([steps], settings.device, settings.schedule)
    return Training(
        length=length,
        batch_size=batch_size,
        plain_ms=times.ms("plain"),
        plain_iqr_ms=times.iqr_ms("plain"),
        soft_ms=times.ms("soft"),
        soft_iqr_ms=times.iqr_ms("soft"),
        time_ratio=times.speedup("plain", "soft"),
        runs=len(times.runs["plain"]),
        disturbed=times.disturbed,
        others=times.others,
    )


def training_step(stage: Stage, project: Callable[[], None] = lambda: None) -> Callable[[Batch], None]:
    """Return a training step without Lightning and its learning-rate schedule; `project` ends the step."""
    stage.train()
    optimizer = torch.optim.AdamW(stage.parameter_groups(), lr=OPTIMIZATION.learning_rate, fused=True)

    def step(batch: Batch) -> None:
        stage.loss(batch).backward()
        optimizer.step()
        project()
        optimizer.zero_grad()

    return step
