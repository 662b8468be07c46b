"""Time the matrix products of a padded pass alone, and the rates of BLAS and oneDNN by number of rows.

Usage: `python experiments/inference/floor.py`.
"""

from collections.abc import Callable, Sequence
from itertools import cycle

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from powerbert.benchmark.pair import Retention, from_shape
from powerbert.measure.timing import Schedule, time_in_turn
from powerbert.models.packed import PackedLinear

BATCH, LENGTH = 8, 64
COLA = (17, 15, 14, 13, 12, 11, 11, 9, 6, 5, 5, 5)
HIDDEN, INTERMEDIATE = 768, 3072
BERT_BASE = {
    "vocab_size": 30522,
    "num_hidden_layers": len(COLA),
    "hidden_size": HIDDEN,
    "num_attention_heads": 12,
    "intermediate_size": INTERMEDIATE,
}
SHAPES = [(HIDDEN, HIDDEN)] * 4 + [(INTERMEDIATE, HIDDEN), (HIDDEN, INTERMEDIATE)]


def medians(calls: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Return the median milliseconds of each call, timed in turn after two warm-up passes."""
    times = time_in_turn([dict(enumerate(calls))], torch.device("cpu"), Schedule(runs, warmup=2))
    return [times.ms(number) for number in range(len(calls))]


def products(weights: Sequence[Sequence[Tensor]], retained: Sequence[int]) -> None:
    """Compute all encoders' products: queries, keys and values of all inputs, the rest of the retained."""
    length = LENGTH
    for (query, key, value, output, up, down), kept in zip(weights, retained, strict=True):
        whole, rest = torch.ones(BATCH * length, HIDDEN), torch.ones(BATCH * kept, HIDDEN)
        for weight in (query, key, value):
            F.linear(whole, weight)
        F.linear(rest, output)
        F.linear(F.linear(rest, up), down)
        length = kept


@torch.inference_mode()
def main() -> None:
    """Print times and rates."""
    pair = from_shape("bert_base", "bert", seed=1, **BERT_BASE)
    host, power = pair.host(), pair.power(Retention("paper_cola", COLA, LENGTH))
    inputs = {
        "input_ids": torch.randint(1000, 30000, (BATCH, LENGTH)),
        "attention_mask": torch.ones(BATCH, LENGTH, dtype=torch.long),
    }
    weights = [[torch.randn(shape) for shape in SHAPES] for _ in COLA]
    times = medians(
        [
            lambda: host(**inputs),
            lambda: power(**inputs),
            lambda: products(weights, [LENGTH] * len(COLA)),
            lambda: products(weights, COLA),
        ],
        runs=7,
    )
    for name, ms in zip(("host", "PoWER-BERT", "products of host", "of PoWER-BERT"), times, strict=True):
        print(f"{name:<18} {ms:6.0f} ms")
    layers = [nn.Linear(HIDDEN, INTERMEDIATE, bias=False) for _ in COLA]
    packed = cycle([PackedLinear(layer) for layer in layers])
    for rows in (40, 88, 136, 512, 2048):
        turn = cycle([encoder[4] for encoder in weights])  # no matrix stays in a cache
        x = torch.ones(rows, HIDDEN)
        calls = [lambda x=x, turn=turn: F.linear(x, next(turn)), lambda x=x, turn=packed: next(turn)(x)]
        blas, onednn = (2e-6 * rows * HIDDEN * INTERMEDIATE / ms for ms in medians(calls, runs=40))
        print(f"{rows:5} rows {blas:6.0f} GFLOP/s, packed for oneDNN {onednn:6.0f}")


if __name__ == "__main__":
    main()
