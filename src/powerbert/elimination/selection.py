"""Static word-vector selection: the same positions in every input, whatever its words (section 2.1).

Head-WS retains the first positions, Rand-WS positions drawn once at random. Either is an order of positions,
and encoder j retains the first ``l_j`` of it. Attn-WS selects by significance instead.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import guard_or_false, guard_or_true

from powerbert.base.checks import check_choice
from powerbert.base.errors import ConfigError
from powerbert.elimination.extract import extract_mask, retained_positions
from powerbert.elimination.names import SELECTIONS


def random_order(length: int, seed: int) -> list[int]:
    """Draw the order of Rand-WS: a permutation of 0..length-1 that begins with 0, the position of [CLS]."""
    others = torch.randperm(length - 1, generator=torch.Generator().manual_seed(seed)) + 1
    return [0, *others.tolist()]


def validate_selection(selection: str, order: Sequence[int] | None, searches: bool) -> None:
    """Check the fields that select word-vectors; ``searches`` tells whether there are soft-extract layers.

    Raises:
        ConfigError: If the selection is unknown or does not fit a search, or if the order is missing,
            superfluous or not a permutation that begins with 0.
    """
    check_choice("selection", selection, SELECTIONS)
    if searches and selection != "attn":
        raise ConfigError(
            f"selection: '{selection}' needs a given retention_configuration; a search ranks by "
            "significance ('attn')"
        )
    if (order is not None) != (selection == "rand"):
        raise ConfigError(
            "selection_order must be given with selection 'rand', and only then; "
            f"it is {'missing' if order is None else 'given'} with '{selection}'"
        )
    if order is not None and (list(order[:1]) != [0] or sorted(order) != list(range(len(order)))):
        raise ConfigError("selection_order must hold every position once, beginning with 0, that of [CLS]")


class StaticSelection(nn.Module):
    """Retain the words at fixed positions.

    A word's position is its index among the real words of its input, so it does not depend on padding. A
    selected position beyond the end of a short input retains nothing.

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
        """Compute the value of ``places``."""
        return torch.tensor(self.order).argsort()

    def schedule(self, mask: Tensor, configuration: Sequence[int]) -> list[tuple[Tensor, Tensor] | None]:
        """Determine in advance which word-vectors each encoder retains, from the input's mask, [B, N].

        Returns:
            For each encoder the indices of the retained word-vectors among its inputs, increasing, [B, K],
            and a mask, [B, K]; None where it retains all. K is the number of retained positions below N. An
            input with fewer words at these positions is filled with others, which the mask marks False.

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
            positions, _ = retained_positions(-places.float(), mask, k)
            mask = extract_mask(mask & (places < retained), positions)
            places, rows = places.gather(1, positions), k
            encoders.append((positions, mask))
        return encoders
