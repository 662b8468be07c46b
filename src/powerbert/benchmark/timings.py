"""Forward passes of all contestants, and training steps, timed in turn."""

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.filesize import decimal
from transformers import PreTrainedModel

from powerbert.base.errors import ConfigError
from powerbert.benchmark.contestants import EAGER, HOST, RUNTIMES, Contestant, contestants
from powerbert.benchmark.inputs import Inputs
from powerbert.benchmark.memory import forward_bytes, free_bytes
from powerbert.benchmark.pair import Pair
from powerbert.benchmark.results import Row, left_out
from powerbert.benchmark.settings import USUAL_LENGTH, Cell, Settings
from powerbert.data import Task
from powerbert.measure import count_flops
from powerbert.measure.latency import Batch
from powerbert.measure.timing import Times, time_in_turn
from powerbert.models.attention import quick_long_inputs
from powerbert.stages import FineTune, MassRegularizer, Optimization, Search, Stage

log = logging.getLogger(__name__)


def time_inference(
    pair: Pair, inputs: Inputs, cell: Cell, settings: Settings, folder: Path
) -> tuple[list[Row], list[Row]]:
    """Time all contestants at one setting.

    Exported files, a few times the size of the weights, go to `folder`, where other cells reuse them.

    Returns:
        A row of `inference_row` for each protocol and contestant, and rows of `left_out`.
    """
    if any(RUNTIMES[name].kind == "compiled" for name in settings.runtimes):
        torch.compiler.reset()  # this cell's first shape is to be compiled as the first
    batches = {
        protocol: inputs.batches(
            protocol, cell.batch_size, cell.length, settings.dynamic_batches, settings.device
        )
        for protocol in settings.protocols
    }
    everything = [batch for of_protocol in batches.values() for batch in of_protocol]
    largest = max(everything, key=lambda batch: batch["input_ids"].numel())
    models, skipped = _admit(pair, cell, largest, settings, folder)
    rows = []
    for protocol, of_protocol in batches.items() if models else ():
        rounds = [{one: partial(model, **batch) for one, model in models.items()} for batch in of_protocol]
        with torch.inference_mode():
            times = time_in_turn(rounds, settings.device, settings.schedule)
        flops = {
            "host": _flops(pair.host(), of_protocol),
            "power": _flops(pair.power(cell.retention), of_protocol),
        }
        mean_length = statistics.fmean(batch["input_ids"].shape[-1] for batch in of_protocol)
        rows += [inference_row(cell, protocol, mean_length, one, times, flops) for one in models]
    return rows, skipped


def inference_row(
    cell: Cell,
    protocol: str,
    mean_length: float,
    contestant: Contestant,
    times: Times[Contestant],
    flops: Mapping[str, float],
) -> Row:
    """Describe the forward passes of a contestant from the times of all and the FLOPs of a batch by role.

    Returns:
        Among others: `mean_length` (word pieces of an input with padding), `ms` (median over the runs),
        `iqr_ms` (interquartile range); `speedup` over `HOST`, its quartiles within single runs
        (`speedup_lower`, `speedup_upper`), `speedup_eager` over the eager host and `speedup_same` over the
        host on the same runtime, both None if that was not timed; `flops_ratio`, the host's operations
        divided by the contestant's; `efficiency`, `speedup` divided by it; `others`, the largest share of the
        processors that other processes used in a run, and `disturbed`, whether that is too much.
    """
    same = Contestant("host", contestant.runtime)
    speedup, ratio = times.speedup(contestant, HOST), flops["host"] / flops[contestant.role]
    lower, upper = times.speedup_range(contestant, HOST)
    return {
        "retention": cell.retention.name,
        "length": cell.length,
        "batch_size": cell.batch_size,
        "protocol": protocol,
        "mean_length": mean_length,
        "role": contestant.role,
        "runtime": contestant.runtime,
        "ms": times.ms(contestant),
        "iqr_ms": times.iqr_ms(contestant),
        "runs": len(times.runs[contestant]),
        "speedup": speedup,
        "speedup_lower": lower,
        "speedup_upper": upper,
        "speedup_eager": times.speedup(contestant, EAGER) if EAGER in times.runs else None,
        "speedup_same": times.speedup(contestant, same) if same in times.runs else None,
        "flops": flops[contestant.role],
        "flops_ratio": ratio,
        "efficiency": speedup / ratio,
        "disturbed": times.disturbed,
        "others": times.others,
    }


def check_fits(pair: Pair, contestant: Contestant, batch: Batch, free: int) -> None:
    """Raise ConfigError if a pass over a batch may not fit into `free` bytes of memory."""
    *inputs, length = batch["input_ids"].shape
    sequences = torch.Size(inputs).numel()
    needed = pair.weight_bytes + forward_bytes(pair.config, sequences, length, fused=contestant.fused)
    if needed > free:
        raise ConfigError(f"it may need {decimal(needed)} of memory, and {decimal(free)} are free")


def _admit(
    pair: Pair, cell: Cell, batch: Batch, settings: Settings, folder: Path
) -> tuple[dict[Contestant, Any], list[Row]]:
    """Build every contestant that is available and survives a pass over the largest batch.

    Without `HOST` there is nothing to compare with, and none is returned.
    """
    models: dict[Contestant, Any] = {}
    skipped: list[Row] = []
    everyone = contestants(settings.runtimes)
    for contestant in sorted(everyone, key=lambda one: one != HOST):
        try:
            check_fits(pair, contestant, batch, free_bytes(settings.device))
            model = contestant.build(pair, cell.retention, batch, folder)
            with torch.inference_mode():
                model(**batch)
            models[contestant] = model
        except Exception as error:  # a failing runtime must not cost the times of the others
            log.debug("%s failed", contestant.label, exc_info=True)
            skipped.append(left_out(cell, contestant.label, error))
        if HOST not in models:
            nothing = ConfigError("there is nothing to compare it with")
            skipped.append(left_out(cell, "everything else", nothing))
            break
    return {one: models[one] for one in everyone if one in models}, skipped


def _flops(model: PreTrainedModel, batches: Sequence[Batch]) -> float:
    """Count the operations of a batch, as the mean over the batches."""
    counts = []
    for batch in batches:
        inputs, *choices, length = batch["input_ids"].shape
        counts.append(count_flops(model, length, inputs, choices[0] if choices else 1))
    return statistics.fmean(counts)


OPTIMIZATION = Optimization(learning_rate=2e-5)


def time_training(pair: Pair, inputs: Inputs, settings: Settings) -> tuple[list[Row], list[Row]]:
    """Time training steps, which do not depend on the retention configuration, at each length and batch size.

    Returns:
        Rows of `training_row`, and rows of `left_out`.
    """
    rows, skipped = [], []
    for length, batch_size in product(settings.length or [USUAL_LENGTH], settings.batch_size):
        try:
            rows.append(training_row(pair, inputs, length, batch_size, settings))
        except Exception as error:  # such as a lack of memory; it must not cost the other results
            skipped.append(left_out(f"length {length}, batch {batch_size}", "training", error))
    return rows, skipped


def training_row(pair: Pair, inputs: Inputs, length: int, batch_size: int, settings: Settings) -> Row:
    """Time steps of fine-tuning and of the configuration search, in turn.

    A step is forward pass, loss (with the regularizer), backward pass, optimizer and projection, in float32
    with dropout, on one padded batch with made-up labels. Both models train copies of the pair's weights.

    Returns:
        `plain_ms` of a step of fine-tuning and `soft_ms` of one with soft-extract layers, medians over the
        runs; their ranges `plain_iqr_ms` and `soft_iqr_ms`; `time_ratio`, `soft_ms` divided by `plain_ms`.
    """
    plain, soft = training_stages(pair, length)
    (batch,) = inputs.batches("padded", batch_size, length, 1, settings.device)
    outputs, labels = plain.task.num_labels, plain.model.config.problem_type == "multi_label_classification"
    number = outputs == 1 or labels
    shape, kind = ((batch_size, outputs), torch.float32) if number else ((batch_size,), torch.int64)
    batch["labels"] = torch.zeros(shape, dtype=kind, device=settings.device)
    steps = {
        "plain": partial(training_step(plain.to(settings.device)), batch),
        "soft": partial(training_step(soft.to(settings.device)), batch),
    }
    times = time_in_turn([steps], settings.device, settings.schedule)
    return {
        "length": length,
        "batch_size": batch_size,
        "plain_ms": times.ms("plain"),
        "plain_iqr_ms": times.iqr_ms("plain"),
        "soft_ms": times.ms("soft"),
        "soft_iqr_ms": times.iqr_ms("soft"),
        "time_ratio": times.speedup("plain", "soft"),
        "runs": len(times.runs["plain"]),
        "disturbed": times.disturbed,
        "others": times.others,
    }


def training_stages(pair: Pair, length: int, rate: float = 3e-3) -> tuple[FineTune, Search]:
    """Return fine-tuning and the configuration search of a pair, for inputs of up to `length`.

    `rate` is the learning rate of the retention parameters.
    """
    outputs = pair.config.num_labels or 1
    names = None if outputs == 1 else tuple(map(str, range(outputs)))
    task = Task("benchmark", ("text",), names, "spearman" if names is None else "accuracy", length)
    search = Search(
        pair.soft(length),
        task,
        OPTIMIZATION,
        regularizer=MassRegularizer(1e-3, length),
        retention_learning_rate=rate,
    )
    return FineTune(pair.plain(), task, OPTIMIZATION), search


def training_step(stage: Stage) -> Callable[[Batch], None]:
    """Return a training step without Lightning and its learning-rate schedule."""
    stage.train()
    optimizer = torch.optim.AdamW(stage.parameter_groups(), lr=OPTIMIZATION.learning_rate, fused=True)

    def step(batch: Batch) -> None:
        with quick_long_inputs(batch["input_ids"]):
            loss = stage.loss(batch)
        loss.backward()
        optimizer.step()
        if isinstance(stage, Search):
            stage.soft_extract.clip_()
        optimizer.zero_grad()

    return step
