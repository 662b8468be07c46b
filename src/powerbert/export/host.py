"""The model that plain transformers would run in place of one that eliminates word-vectors."""

import logging
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

from powerbert.export.graph import task_kind
from powerbert.models import load_model
from powerbert.models.backbone import POWER_PREFIX, TASKS
from powerbert.models.configuration import POWER_FIELDS
from powerbert.store.artifacts import Artifact
from powerbert.store.chain import dense_ancestor

log = logging.getLogger(__name__)


def host_config(model: PreTrainedModel) -> PreTrainedConfig:
    """Return the config of a host or power model as plain transformers knows it."""
    fields = {key: value for key, value in model.config.to_dict().items() if key not in POWER_FIELDS}
    config: Any = CONFIG_MAPPING[fields.pop("model_type").removeprefix(POWER_PREFIX)]
    return config.from_dict(fields | {"architectures": [type(model).__name__.removeprefix("Power")]})


def find_baseline(folder: Path, model: PreTrainedModel) -> tuple[str | None, PreTrainedModel]:
    """Find the fine-tuned model of an artifact, in float32 with scaled_dot_product_attention.

    Returns:
        Its name, and the model. A plain classifier is its own baseline. If the fine-tuned model is missing:
        None, and a model of its shape with random weights, which takes the same time.
    """
    ancestor = dense_ancestor(Artifact.find(folder), [folder.resolve().parent])
    name: str | None
    if ancestor is not None:
        name, baseline = ancestor.id, load_model(ancestor.path)
    elif not model.config.model_type.startswith(POWER_PREFIX):
        name, baseline = folder.resolve().name, model
    else:
        log.info("the fine-tuned model is missing: timing a model of its shape with random weights instead")
        name, baseline = None, TASKS[task_kind(model)].from_config(host_config(model)).eval()
    baseline.set_attn_implementation("sdpa")
    return name, baseline
