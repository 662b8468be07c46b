"""Static word-vector selection: the same positions in every input, whatever its words (section 2.1).

Head-WS retains the first positions, Rand-WS positions drawn once at random. Both are one order of positions,
of which encoder j retains the first ``l_j``. Selection by significance, Attn-WS, needs the attention of each
input; see ``significance`` and ``ranking``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import guard_or_false, guard_or_true

from powerbert.base.errors import ConfigError
from powerbert.elimination.extract import extract_mask
from powerbert.elimination.ranking import retained_positions

SELECTIONS = ("attn", "head", "rand")
"""Attn-WS, Head-WS and Rand-WS."""


def random_order(length: int, seed: int) -> list[int]:
    """Draw the order of positions of Rand-WS.

    Args:
        length: Number of positions, l.
        seed: The same seed gives the same order.

    Returns:
        A permutation of 0..l-1 that begins with 0, the position of [CLS].
    """
    others = torch.randperm(length - 1, generator=torch.Generator().manual_seed(seed)) + 1
    return [0, *others.tolist()]


def validate_selection(selection: str, order: Sequence[int] | None, searches: bool) -> None:
    """Check how word-vectors are to be selected.

    Args:
        selection: One of ``SELECTIONS``.
        order: Of positions, for "rand" only.
        searches: Whether there are soft-extract layers, which rank by significance.

    Raises:
        ConfigError: If the selection is unknown, the order is missing, superfluous or no permutation that
            begins with 0, or a model with soft-extract layers selects otherwise than by significance.
    """
    if selection not in SELECTIONS:
        raise ConfigError(f"selection: '{selection}' is unknown; choose one of {', '.join(SELECTIONS)}")
    if searches and selection != "attn":
        raise ConfigError(
            f"selection: '{selection}' takes a given retention_configuration; soft-extract layers rank by "
            "significance, so a search needs 'attn'"
        )
    if (order is not None) != (selection == "rand"):
        raise ConfigError(
            "selection_order must be given with selection 'rand', and only then; "
            f"it is {'missing' if order is None else 'given'} with '{selection}'"
        )
    if order is not None and (list(order[:1]) != [0] or sorted(order) != list(range(len(order)))):
        raise ConfigError(
            "selection_order must hold every position from 0 on once, beginning with 0, that of [CLS]"
        )


class StaticSelection(nn.Module):
    """Retains the words at fixed positions.

    A word's position is its index among the real words of its input, as in an input padded on its right to
    the maximum length. It depends neither on how far nor on which side the batch is padded. A selected
    position beyond the end of a short input retains nothing.

    Args:
        order: All positions, 0..l-1; encoder j retains the first ``l_j`` of them.

    Attributes:
        places: The place of each position in that order, [l]; not part of the state dict.
    """

    places: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = tuple(order)
        self.register_buffer("places", self.inverse_order(), persistent=False)

    def inverse_order(self) -> Tensor:
        """The value of ``places``, [l]."""
        return torch.tensor(self.order).argsort()

    def schedule(self, mask: Tensor, configuration: Sequence[int]) -> list[tuple[Tensor, Tensor] | None]:
        """Determine beforehand which word-vectors each encoder retains.

        Args:
            mask: True where a word is real, [B, N].
            configuration: Number of positions that each encoder retains, non-increasing.

        Returns:
            For each encoder the indices of the retained ones among those that it is given, increasing, [B,
            K], and a mask, [B, K]; None where it retains all. K is the number of retained positions below
            N, which no input exceeds; an input with fewer words at these positions keeps others beside
            them, with False in the mask.

        Raises:
            ValueError: If N exceeds the number of positions.
        """
        width = rows = mask.shape[1]
        if width > len(self.order):
            raise ValueError(f"inputs of {width} words, but only {len(self.order)} positions to select from")
        places = self.places[(mask.cumsum(dim=1) - 1).clamp_min(0)]
        encoders: list[tuple[Tensor, Tensor] | None] = []
        for retained in configuration:
            # An exported graph serves every width: there each position may lie below N.
            below = sum(guard_or_true(position < width) for position in self.order[:retained])
            k = torch.sym_min(below, width)
            if guard_or_false(k == rows):
                encoders.append(None)
                continue
            positions = retained_positions(-places.float(), mask, k)
            mask = extract_mask(mask & (places < retained), positions)
            places, rows = places.gather(1, positions), k
            encoders.append((positions, mask))
        return encoders
