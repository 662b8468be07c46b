"""New inputs for a teacher to label: the beginning of one input joined to the end of another.

A student of a few thousand rows learns them by heart. Its teacher can label any input, so it can be asked
about many more (compare the augmentation of TinyBERT, Jiao et al. 2020, which replaces words).
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def recombine(batch: Mapping[str, Tensor], pad_token_id: int) -> dict[str, Tensor]:
    """Cut each input of a batch at a random place, and continue it with the end of a random other.

    What comes out is at most as long as the batch is wide, begins with the first and ends with the last word
    piece of an input, and is padded on the batch's side.

    Args:
        batch: tensors [B, N] or [B, choices, N] with `input_ids` and `attention_mask`; others of this shape,
            as `token_type_ids`, are recombined with them, and all else is left out, as `labels`.
        pad_token_id: of the padding.
    """
    mask = batch["attention_mask"]
    shape, width = mask.shape, mask.shape[-1]
    flat = {
        name: value.reshape(-1, width)
        for name, value in batch.items()
        if value.shape == shape and name != "labels"
    }
    words = flat["attention_mask"].bool()
    length, first = words.sum(1), words.int().argmax(1)
    other = torch.randperm(len(words), device=mask.device)
    # At least one word piece of each; not the first one's last, nor the other's first.
    before = _between(torch.ones_like(length), (length - 1).clamp_min(1))
    most = torch.minimum((length[other] - 1).clamp_min(1), width - before)
    after = _between(torch.ones_like(most), most)
    total = (before + after).unsqueeze(1)
    place = torch.arange(width, device=mask.device).expand_as(words)
    padded_left = (words[:, -1] & ~words[:, 0]).any()
    place = place - torch.where(padded_left, width - total, 0)
    own = first.unsqueeze(1) + place
    its = (first + length)[other].unsqueeze(1) - total + place
    continued = place >= before.unsqueeze(1)
    rows = torch.where(
        continued, other.unsqueeze(1), torch.arange(len(words), device=mask.device).unsqueeze(1)
    )
    columns = torch.where(continued, its, own).clamp(0, width - 1)
    real = (place >= 0) & (place < total)
    joined = {name: value[rows, columns].masked_fill(~real, 0) for name, value in flat.items()}
    joined["input_ids"] = joined["input_ids"].masked_fill(~real, pad_token_id)
    joined["attention_mask"] = real.to(mask.dtype)
    return {name: value.view(shape) for name, value in joined.items()}


def _between(low: Tensor, high: Tensor) -> Tensor:
    """Draw whole numbers from low to high, both included, element by element."""
    return low + (torch.rand(low.shape, device=low.device) * (high - low + 1)).long().clamp_max(high - low)
