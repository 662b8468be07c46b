"""Time significance beside the other parts of an encoder, by shape; one thread, or as many as given.

Usage: `python experiments/inference/significance.py [THREADS]`; writes `significance.json` next to it.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from powerbert.elimination import blockwise_significance, cls_significance
from powerbert.elimination.significance import attention_probabilities, significance_scores

HEADS = 12
SHAPES = [(8, 512), (16, 290), (32, 27), (128, 64)]
OLD_BLOCK = 4 * 2**20


def as_formula(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    """Compute significance as section 2.1 writes it, in blocks of inputs or query rows, [B, N]."""
    batch, heads, length, _ = query.shape
    rows = max(1, min(length, OLD_BLOCK // (4 * heads * length)))
    inputs = max(1, OLD_BLOCK // (4 * heads * length**2))
    blocks = []
    for start in range(0, batch, inputs):
        some = slice(start, start + inputs)
        parts = [
            significance_scores(
                attention_probabilities(query[some, :, first : first + rows], key[some], mask[some]),
                mask[some],
                first_query=first,
            )
            for first in range(0, length, rows)
        ]
        blocks.append(torch.stack(parts).sum(dim=0))
    return torch.cat(blocks)


def calls_at(batch: int, length: int, size: int, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name, at heads of `size`; inputs have half to all of the words."""
    width = HEADS * size
    mask = torch.arange(length) < torch.randint(length // 2, length + 1, (batch, 1))
    hidden = torch.randn(batch, length, width, dtype=dtype)
    square, up = torch.randn(width, width, dtype=dtype), torch.randn(4 * width, width, dtype=dtype)
    down = up.t().contiguous()
    q, k, v = (
        torch.randn(batch, length, width).to(dtype).unflatten(-1, (HEADS, size)).transpose(1, 2)
        for _ in range(3)
    )
    return {
        "formula": lambda: as_formula(q, k, mask),
        "received": lambda: blockwise_significance(q, k, mask),
        "cls": lambda: cls_significance(q, k, mask),
        "sdpa": lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :]),
        "projections": lambda: [F.linear(hidden, square) for _ in range(4)],
        "feed_forward": lambda: F.linear(F.gelu(F.linear(hidden, up)), down),
    }


def fastest(calls: dict[str, Callable[[], object]], seconds: float = 5.0) -> dict[str, float]:
    """Return each call's fastest milliseconds, called in turn; other processes only ever add to a time."""
    runs: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            runs[name].append(1000 * (time.perf_counter() - started))
    return {name: round(min(times), 2) for name, times in runs.items()}


@torch.inference_mode()
def main(threads: int) -> None:
    """Print and write the milliseconds of each shape."""
    torch.set_num_threads(threads)
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for size in (32, 64):
            for batch, length in SHAPES:
                torch.manual_seed(0)
                calls = calls_at(batch, length, size, dtype)
                ms = fastest(calls)
                row = {"dtype": str(dtype).removeprefix("torch."), "batch": batch, "length": length}
                row |= {"head_size": size, **ms}
                rows.append(row)
                print(*row.values(), flush=True)
    result = {"torch": torch.__version__, "threads": threads, "heads": HEADS, "statistic": "min", "ms": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
