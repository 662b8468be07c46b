"""Word-vector elimination in a model as it is, without training."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from powerbert.base.checks import check_number, check_whole
from powerbert.base.errors import ConfigError
from powerbert.measure.cost import CostModel, fit, reach
from powerbert.models import EXCLUSIVE, able_encoders, as_power_model, longest_input, num_encoders


def eliminate(
    model: PreTrainedModel,
    retention: Sequence[float] | None = None,
    *,
    speed: float | None = None,
    length: int | None = None,
) -> PreTrainedModel:
    """Eliminate word-vectors in a loaded transformers classifier of a supported model type.

    Nothing is trained. The last encoder computes [CLS] alone.

    Args:
        model: stays as it is; the result shares its weights.
        retention: what each encoder retains: whole numbers of word-vectors, or shares of an input's words
            from 0 to 1; none greater than the one before.
        speed: how many times fewer operations the result is to take than the model; its shares fall evenly.
        length: words of an input for which `speed` holds; None for 128, or what the model has positions for.

    Raises:
        ConfigError: unless exactly one of `retention` and `speed` is given, and suits the model.
        TypeError: if the model's type is not supported.
    """
    if (retention is None) == (speed is None):
        raise ConfigError("retention, speed: give one of them")
    given = {**dict.fromkeys((*EXCLUSIVE, "speeds", "active_encoders")), "cls_alone": True}
    if retention is not None:
        counts = all(isinstance(value, int) for value in retention)
        name = "retention_configuration" if counts else "retention_shares"
        return as_power_model(model, **given | {name: list(retention)})
    check_number("speed", speed, 1.0)
    longest = longest_input(model.config)
    check_whole("length", length, 2, longest, optional=True)
    shares = [1.0] * num_encoders(model.config)
    power: Any = as_power_model(model, **given | {"retention_shares": shares})
    power.base_model.set_retention(_shares_at(float(speed or 1), power, model, length or min(128, longest)))
    return power


def _shares_at(speed: float, power: Any, model: Any, length: int) -> list[float]:
    """Return the parts 1 - j / L of encoders j, raised to the common power at which the speed is reached."""
    encoders, able = num_encoders(model.config), able_encoders(model.config)
    words = torch.tensor([length])
    batch = {"given": words, "longest": words, "weight": torch.ones(1)}
    cost = CostModel(fit(power, model, [length])[0], batch, encoders)

    def shares(parts: Sequence[float]) -> list[float]:
        """Add [CLS] alone, and what encoders that cannot eliminate are given."""
        kept = [*parts, 0.0]
        for encoder in range(encoders - 1):
            if able is not None and encoder not in able:
                kept[encoder] = kept[encoder - 1] if encoder else 1.0
        return [round(share, 4) for share in kept]

    def relative(parts: Sequence[float]) -> float:
        return cost.of_shares(shares(parts), cls_alone=True)

    found = [1.0] * (encoders - 1)
    if relative(found) > 1 / speed:
        even = [1 - encoder / encoders for encoder in range(1, encoders)]
        found = reach(relative, even, 1 / speed, whole=1.0)
    if relative(found) > 1.02 / speed:
        raise ConfigError(
            f"speed: {speed:g} is out of reach: with [CLS] alone after the first encoder that can eliminate, "
            f"the model takes {1 / relative(found):.2f} times fewer operations"
        )
    return shares(found)
