"""The model that plain transformers would run in the place of one that eliminates word-vectors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

from powerbert.export.graph import takes_choices
from powerbert.models import load_model
from powerbert.models.backbone import POWER_PREFIX, TASKS
from powerbert.models.configuration import POWER_FIELDS
from powerbert.store.chain import dense_ancestor, start_of

log = logging.getLogger(__name__)


def host_config(model: PreTrainedModel) -> PreTrainedConfig:
    """The host's config of a model, which plain transformers knows.

    Args:
        model: A host or power model of a task.
    """
    fields = {key: value for key, value in model.config.to_dict().items() if key not in POWER_FIELDS}
    config: Any = CONFIG_MAPPING[fields.pop("model_type").removeprefix(POWER_PREFIX)]
    return config.from_dict(fields | {"architectures": [type(model).__name__.removeprefix("Power")]})


def find_baseline(folder: Path, model: PreTrainedModel) -> tuple[str | None, PreTrainedModel]:
    """What a user would serve instead: the fine-tuned model, in float32 with scaled_dot_product_attention.

    Args:
        folder: Of the artifact.
        model: That it holds.

    Returns:
        The fine-tuned model that the artifact comes from, after its name; where it is not at hand, a model of
        its shape with random weights, which takes the same time, after None.
    """
    ancestor = dense_ancestor(start_of(folder), [folder.resolve().parent])
    if ancestor is not None:
        name, baseline = ancestor.id, load_model(ancestor.path)
    elif not model.config.model_type.startswith(POWER_PREFIX):
        name, baseline = folder.resolve().name, model
    else:
        log.info("the fine-tuned model is not at hand: a model of its shape with random weights is timed")
        task = "multiple_choice" if takes_choices(model) else "sequence_classification"
        name, baseline = None, TASKS[task].from_config(host_config(model)).eval()
    baseline.set_attn_implementation("sdpa")
    return name, baseline
