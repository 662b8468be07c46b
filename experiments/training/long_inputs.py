"""Time training steps on long inputs against their products alone, with and without attention by blocks.

Usage: `python experiments/training/long_inputs.py --output experiments/training/long_inputs.json`.
"""

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from powerbert.base.environment import describe_environment
from powerbert.methods.distillation import Distillation
from powerbert.models import load_host_model, load_power_model, take_encoders
from powerbert.models.attention import quick_long_inputs
from powerbert.models.checkpoint import packaged_minilm
from powerbert.stages import FineTune, MassRegularizer, Optimization, Retrain, Search, Stage

SHAPES = [(8, 512), (16, 290)]
RETENTION = [165, 78, 16, 4, 3, 1]
PRECISIONS = {"bf16-mixed": torch.bfloat16, "32-true": None}
TASK: Any = SimpleNamespace(metric="accuracy", num_labels=2)
RATES = Optimization(3e-5)
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu")


def finetune(folder: Path, _: int) -> Stage:
    """Build the stage on the pretrained model's host."""
    return FineTune(load_host_model(folder), TASK, RATES)


def search(folder: Path, length: int) -> Stage:
    """Build the stage with soft-extract layers."""
    model = load_power_model(folder, soft_extract_length=length)
    regularizer = MassRegularizer(7e-4, length)
    return Search(model, TASK, RATES, regularizer=regularizer, retention_learning_rate=2e-4)


def retrain(folder: Path, _: int) -> Stage:
    """Build the stage with extract layers."""
    return Retrain(load_power_model(folder, retention_configuration=RETENTION), TASK, RATES)


def distill(folder: Path, _: int) -> Stage:
    """Build BERT-PKD's distillation into three encoders."""
    objective = Distillation(alpha=0.5, temperature=10.0, beta=100.0, imitated=[(1, 2), (2, 4)])
    student, teacher = take_encoders(load_host_model(folder), range(3)), load_host_model(folder)
    return Retrain(student, TASK, RATES, teacher=teacher, objective=objective)


STAGES: dict[str, Callable[[Path, int], Stage]] = {
    stage.__name__: stage for stage in (finetune, search, retrain, distill)
}


class Step:
    """One training step as Lightning takes it, on a batch of random words, each input of another length."""

    def __init__(self, stage: Stage, inputs: int, length: int, precision: str) -> None:
        self.stage, self.dtype = stage, PRECISIONS[precision]
        draw = torch.Generator().manual_seed(0)
        lengths = torch.linspace(0.9 * length, length, inputs).int()
        self.batch = {
            "input_ids": torch.randint(1000, 30000, (inputs, length), generator=draw),
            "attention_mask": (torch.arange(length) < lengths.unsqueeze(1)).long(),
            "labels": torch.arange(inputs) % 2,
        }
        self.optimizer = torch.optim.AdamW(stage.parameter_groups(), lr=3e-5, fused=True)
        stage.model.train()

    def __call__(self, quick: bool) -> None:
        """Take the step."""
        torch.manual_seed(0)
        self.optimizer.zero_grad()
        precision = torch.autocast("cpu", self.dtype) if self.dtype else nullcontext()
        with precision, quick_long_inputs(self.batch["input_ids"]) if quick else nullcontext():
            loss = self.stage.loss(self.batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.stage.parameters(), 1.0)
        self.optimizer.step()


def random_like(tensor: Tensor) -> Tensor:
    """Return random numbers in the layout of a tensor."""
    layout = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return layout.normal_() if tensor.is_floating_point() else layout.zero_()


class Products(TorchDispatchMode):
    """Counts the products within the block by their operands' layout; calling it computes them alone."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Any] = Counter()
        self.operands: dict[Any, list[Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in PRODUCTS:
            tensors = [value for value in args if isinstance(value, Tensor)]
            key = (func.overloadpacket, *((t.dtype, tuple(t.shape), t.stride()) for t in tensors))
            self.counts[key] += 1
            self.operands.setdefault(key, [random_like(tensor) for tensor in tensors])
        return func(*args, **(kwargs or {}))

    def __iter__(self) -> Iterator[tuple[Any, list[Tensor], int]]:
        """Yield each product's function, operands and count."""
        return ((key[0], self.operands[key], count) for key, count in self.counts.items())

    def gflop(self) -> float:
        """Count two operations for each multiplication."""
        total = 0
        for function, operands, count in self:
            if "attention" in function.__name__:
                query, key = operands[:2]
                total += count * 4 * query.numel() * key.shape[-2]
            else:
                left, right = operands[-2:]
                total += count * 2 * left.numel() * right.shape[-1]
        return total / 1e9

    @torch.no_grad()
    def __call__(self) -> None:
        """Compute them all."""
        for function, operands, count in self:
            for _ in range(count):
                if function.__name__ == "baddbmm":
                    function(*operands, beta=0, out=operands[0])
                else:
                    function(*operands)


def measure(stage: str, inputs: int, length: int, precision: str, folder: Path, runs: int) -> list[dict]:
    """Time both ways to take a step, and the products of each alone."""
    step = Step(STAGES[stage](folder, length), inputs, length, precision)
    counted = {}
    for quick in (False, True):
        with Products() as counted[quick]:
            step(quick)
    calls: dict[Any, Callable[[], None]] = {}
    for quick in (False, True):
        calls["step", quick] = partial(step, quick)
        calls["products", quick] = counted[quick]
    times = {key: min(processor_ms(call) for _ in range(runs)) for key, call in calls.items()}
    rows = []
    for quick in (False, True):
        ms, floor = times["step", quick], times["products", quick]
        gflop = counted[quick].gflop()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            memory = process.submit(peak, stage, inputs, length, precision, folder, quick).result()
        row = {
            "stage": stage,
            "inputs": inputs,
            "length": length,
            "precision": precision,
            "by_blocks": quick,
            "step_ms": round(ms, 1),
            "products_ms": round(floor, 1),
            "ratio": round(ms / floor, 2),
            "products_gflop": round(gflop, 1),
            "gflop_per_s": round(1e3 * gflop / ms, 1),
            "peak_bytes": memory,
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def processor_ms(call: Callable[[], None]) -> float:
    """Return the processor time of a call, of all threads; other processes hardly change it."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def peak(stage: str, inputs: int, length: int, precision: str, folder: Path, quick: bool) -> int:
    """Return the peak memory of a process, this one, while it takes two steps, in bytes; under Linux."""
    step = Step(STAGES[stage](folder, length), inputs, length, precision)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    for _ in range(2):
        step(quick)
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def main() -> None:
    """Measure all stages and shapes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16-mixed")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    environment = describe_environment("cpu") | {"threads": torch.get_num_threads()}
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load_host_model(packaged_minilm(), num_labels=2).save_pretrained(folder)
        for inputs, length in SHAPES:
            for stage in options.stages:
                rows += measure(stage, inputs, length, options.precision, folder, options.runs)
                result = {"environment": environment, "rows": rows}
                options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
