"""Forward passes of the host and of PoWER-BERT on every runtime, timed side by side."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.filesize import decimal
from transformers import PreTrainedModel

from powerbert.benchmark.contestants import EAGER, HOST, Contestant, contestants
from powerbert.benchmark.footprint import forward_bytes, free_bytes
from powerbert.benchmark.inputs import Inputs
from powerbert.benchmark.pair import Pair
from powerbert.benchmark.results import Inference, Skipped, one_line
from powerbert.benchmark.runtimes import RUNTIMES, Compiled, Forward
from powerbert.benchmark.settings import Cell, Settings
from powerbert.measure import count_flops
from powerbert.measure.latency import Batch
from powerbert.measure.timing import Times, time_in_turn

log = logging.getLogger(__name__)

Found = tuple[list[Inference], list[Skipped]]


@dataclass
class InferenceBenchmark:
    """Times contestants cell by cell.

    Attributes:
        pair: the models.
        inputs: what they are timed on.
        settings: which contestants, and how often.
        folder: for exported files; it grows by a few times the size of the weights.
    """

    pair: Pair
    inputs: Inputs
    settings: Settings
    folder: Path

    def __post_init__(self) -> None:
        """Nothing has been counted yet."""
        self._flops: dict[tuple[int, int, int], float] = {}

    def measure(self, cell: Cell) -> Found:
        """Times everything at one setting.

        Args:
            cell: the setting.

        Returns:
            A row for each protocol and contestant, and what was left out.
        """
        settings = self.settings
        if any(isinstance(RUNTIMES[name], Compiled) for name in settings.runtimes):
            torch.compiler.reset()  # else this cell's first shape would not be its first
        batches = {protocol: self.batches(protocol, cell) for protocol in settings.protocols}
        everything = [batch for of_protocol in batches.values() for batch in of_protocol]
        forwards, skipped = self._admit(cell, max(everything, key=lambda batch: batch["input_ids"].numel()))
        if HOST not in forwards:
            return [], skipped
        with torch.inference_mode():
            timed = {
                protocol: time_in_turn(
                    [
                        {one: partial(forward, batch) for one, forward in forwards.items()}
                        for batch in of_protocol
                    ],
                    settings.device,
                    settings.schedule,
                )
                for protocol, of_protocol in batches.items()
            }
        rows = [
            row
            for protocol, times in timed.items()
            for row in self._rows(cell, protocol, batches[protocol], times)
        ]
        return rows, skipped

    def batches(self, protocol: str, cell: Cell) -> list[Batch]:
        """The batches of a protocol at a setting, on the device."""
        made = self.inputs.batches(protocol, cell.batch_size, cell.length, self.settings.dynamic_batches)
        return [{name: tensor.to(self.settings.device) for name, tensor in batch.items()} for batch in made]

    def _admit(self, cell: Cell, batch: Batch) -> tuple[dict[Contestant, Forward], list[Skipped]]:
        """Builds what can be had and gets through a first pass, the baseline before all others."""
        forwards: dict[Contestant, Forward] = {}
        skipped: list[Skipped] = []
        everyone = contestants(self.settings.runtimes)
        for contestant in sorted(everyone, key=lambda one: one != HOST):
            reason = self._too_large(contestant, batch) or self._try(contestant, cell, batch, forwards)
            if reason is not None:
                skipped.append(Skipped(str(cell), contestant.label, reason))
            if HOST not in forwards:
                skipped.append(Skipped(str(cell), "everything else", "there is nothing to compare it with"))
                break
        return {one: forwards[one] for one in everyone if one in forwards}, skipped

    def _too_large(self, contestant: Contestant, batch: Batch) -> str | None:
        """Why a contestant does not fit into memory; None if it does."""
        *inputs, length = batch["input_ids"].shape
        sequences = torch.Size(inputs).numel()
        needed = forward_bytes(self.pair.config, sequences, length, fused=contestant.fused)
        needed += self.pair.weight_bytes
        free = free_bytes(self.settings.device)
        if free is None or needed <= free:
            return None
        return f"it may need {decimal(needed)} of memory, and {decimal(free)} are free"

    def _try(
        self, contestant: Contestant, cell: Cell, batch: Batch, forwards: dict[Contestant, Forward]
    ) -> str | None:
        """Adds a contestant's forward pass to `forwards`, or gives the reason why it cannot be had."""
        runtime = RUNTIMES[contestant.runtime]
        reason = runtime.unavailable(self.settings.device)
        if reason is not None:
            return reason
        place = contestant.place(cell.retention, batch, self.settings.device, self.folder)
        try:
            forward = runtime.build(contestant.make(self.pair, cell.retention), place)
            with torch.inference_mode():
                forward(batch)
        except Exception as error:  # one runtime's failure is no reason to lose the times of the others
            log.debug("%s failed", contestant.label, exc_info=True)
            return one_line(error)
        forwards[contestant] = forward
        return None

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
            eager = times.speedup(contestant, EAGER) if EAGER in times.runs else None
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
                    speedup_eager=eager,
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
        """Operations for a batch, the mean over the batches."""
        return sum(self._count_one(model, batch) for batch in batches) / len(batches)

    def _count_one(self, model: PreTrainedModel, batch: Batch) -> float:
        """From the operations of one input: all have the shape of the batch, and cost the same."""
        inputs, *choices, length = batch["input_ids"].shape
        num_choices = choices[0] if choices else 1
        key = (id(model), length, num_choices)
        if key not in self._flops:
            self._flops[key] = count_flops(model, length, num_choices=num_choices)
        return inputs * self._flops[key]
