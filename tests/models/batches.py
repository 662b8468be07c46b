"""Batches of inputs of unequal length, padded on either side."""

import torch

CLS = 2


def ragged_inputs(lengths=(9, 1, 12, 4), seed=1):
    """Lists of random word indices, each beginning with [CLS]."""
    generator = torch.Generator().manual_seed(seed)
    return [[CLS, *torch.randint(5, 60, (n - 1,), generator=generator).tolist()] for n in lengths]


def padded(inputs, width=None, side="right"):
    """What a model takes for ``inputs``; the positions count real words, whichever side the padding is on."""
    width = width or max(map(len, inputs))
    batch = {"input_ids": [], "attention_mask": [], "position_ids": []}
    for words in inputs:
        padding = [0] * (width - len(words))
        for key, row in zip(batch, (words, [1] * len(words), list(range(len(words)))), strict=True):
            batch[key].append(padding + row if side == "left" else row + padding)
    return {key: torch.tensor(rows) for key, rows in batch.items()}
