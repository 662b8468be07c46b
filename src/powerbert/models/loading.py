"""Loading models from checkpoint folders: the host to be fine-tuned, the power model to search and re-train.

A checkpoint must hold every weight that the model needs; transformers would draw the others at random and
mention it in passing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from powerbert.base.errors import ModelError
from powerbert.models.auto import BACKBONES, POWER_PREFIX, TASKS
from powerbert.models.configuration import POWER_FIELDS
from powerbert.models.pickled import HOW_TO_CONVERT, only_pickled
from powerbert.models.quiet import quiet_transformers

WEIGHT_FILES = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)

Folder = str | os.PathLike[str]

REPLACED: dict[str, dict[str, Any]] = {
    "retention_configuration": {"soft_extract_length": None},
    "soft_extract_length": {"retention_configuration": None, "selection": "attn", "selection_order": None},
    "selection": {"selection_order": None},
}
"""What of a checkpoint's elimination fields gives way where another field is set."""


def load_host_model(
    folder: Folder, task: str = "sequence_classification", **config_fields: Any
) -> PreTrainedModel:
    """Load the host model of a task from any checkpoint of its backbone, to be fine-tuned.

    A checkpoint that has lost heads is loaded as the power model that knows of it; nothing is eliminated.

    Args:
        folder: A checkpoint: a bare backbone, a pretraining checkpoint or a model for any task. Weights of
            the task's head, and of the pooler before it, that are missing or of another size are drawn at
            random.
        task: A key of ``TASKS``.
        **config_fields: Fields of the config to set, such as ``num_labels``, ``problem_type`` and
            ``id2label``.

    Returns:
        The model in float32, in evaluation mode.

    Raises:
        ModelError: If the folder is no such checkpoint, or lacks weights of the backbone.
    """
    checkpoint = _Checkpoint.read(Path(folder))
    pruned = checkpoint.fields.get("encoder_heads") is not None
    outdated = set(POWER_FIELDS) - ({"encoder_heads"} if pruned else set())
    if not config_fields.keys().isdisjoint({"num_labels", "id2label"}):
        outdated |= {"id2label", "label2id", "problem_type"}
    stored = {key: value for key, value in checkpoint.fields.items() if key not in outdated}
    config_class = BACKBONES[checkpoint.host_type].config if pruned else CONFIG_MAPPING[checkpoint.host_type]
    config = checkpoint.config(config_class, stored | config_fields)
    return _load(checkpoint.folder, task, config, random_head=True)


def load_power_model(
    folder: Folder, task: str = "sequence_classification", **power_fields: Any
) -> PreTrainedModel:
    """Load a model of a task with word-vector elimination, from the host's checkpoint or a power model's.

    A retention configuration replaces the soft-extract layers of a searched checkpoint, and the other way
    round; a word-vector selection replaces another. Retention parameters that the checkpoint does not have
    start at 1.

    Args:
        folder: A checkpoint of the task, head included.
        task: A key of ``TASKS``.
        **power_fields: Elimination fields of the config to set (``retention_configuration``,
            ``soft_extract_length``, ...); the others stay as the checkpoint has them.

    Returns:
        The model in float32, in evaluation mode.

    Raises:
        ModelError: If the folder is no such checkpoint, or lacks weights.
        ConfigError: If the elimination fields do not fit the model.
        TypeError: If a field is not an elimination field.
    """
    unknown = power_fields.keys() - set(POWER_FIELDS)
    if unknown:
        raise TypeError(f"not elimination fields: {', '.join(sorted(unknown))}")
    checkpoint = _Checkpoint.read(Path(folder))
    fields = checkpoint.fields
    for name, value in power_fields.items():
        if value is not None:
            fields = fields | REPLACED.get(name, {})
    fields = fields | power_fields
    config = checkpoint.config(BACKBONES[checkpoint.host_type].config, fields)
    return _load(checkpoint.folder, task, config)


def load_config(folder: Folder) -> PreTrainedConfig:
    """Read the config of a checkpoint, without its weights.

    Raises:
        ModelError: If the folder is no checkpoint of a supported backbone.
    """
    checkpoint = _Checkpoint.read(Path(folder))
    return checkpoint.config(CONFIG_MAPPING[checkpoint.model_type], checkpoint.fields)


def load_model(folder: Folder) -> PreTrainedModel:
    """Load a finished model, host or power, for the task that it was saved for.

    Returns:
        The model in float32, in evaluation mode.

    Raises:
        ModelError: If the folder is no such checkpoint, or lacks weights.
    """
    checkpoint = _Checkpoint.read(Path(folder))
    for task, auto_class in TASKS.items():
        if checkpoint.architecture.endswith(auto_class.__name__.removeprefix("AutoModel")):
            config = checkpoint.config(CONFIG_MAPPING[checkpoint.model_type], checkpoint.fields)
            return _load(checkpoint.folder, task, config)
    raise ModelError(
        f"model folder {folder} holds {checkpoint.architecture or 'an unknown architecture'}, "
        "which no task of this project uses; fine-tune it first"
    )


@dataclass(frozen=True)
class _Checkpoint:
    """What a folder's ``config.json`` says; ``fields`` are those that a config is made of."""

    folder: Path
    model_type: str
    architecture: str
    fields: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> _Checkpoint:
        if not folder.is_dir():
            raise ModelError(f"model folder {folder} does not exist")
        path = folder / "config.json"
        try:
            fields = dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ModelError(
                f"model folder {folder} has no config.json; it must be a Hugging Face checkpoint"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"model folder {folder}: config.json cannot be read ({_one_line(error)})"
            ) from error
        model_type = str(fields.pop("model_type", "unknown"))
        if model_type.removeprefix(POWER_PREFIX) not in BACKBONES:
            raise ModelError(
                f"model folder {folder}: the model type '{model_type}' is not supported; "
                f"supported are {', '.join(BACKBONES)}"
            )
        architectures = fields.pop("architectures", None) or [""]
        fields.pop("auto_map", None)  # powerbert's own classes are used, and saved with their own code
        return cls(folder, model_type, architectures[0], fields)

    @property
    def host_type(self) -> str:
        """The host's ``model_type``, whether the checkpoint is the host's or the power model's."""
        return self.model_type.removeprefix(POWER_PREFIX)

    def config(self, config_class: type[PreTrainedConfig], fields: dict[str, Any]) -> PreTrainedConfig:
        try:
            return config_class.from_dict(fields)
        except (StrictDataclassError, ValueError, TypeError) as error:
            raise ModelError(
                f"model folder {self.folder}: config.json does not fit ({_one_line(error)})"
            ) from error


def _load(folder: Path, task: str, config: PreTrainedConfig, random_head: bool = False) -> PreTrainedModel:
    """Load the weights into the task's model class for ``config``, and account for every one of them."""
    host_type = config.model_type.removeprefix(POWER_PREFIX)
    if task not in BACKBONES[host_type].tasks:
        able = ", ".join(name for name, backbone in BACKBONES.items() if task in backbone.tasks)
        raise ModelError(
            f"model folder {folder}: {task.replace('_', ' ')} is not supported with {host_type} models; "
            f"it is with {able}"
        )
    if only_pickled(path.name for path in folder.iterdir()):
        raise ModelError(f"model folder {folder} has pickled weights and no safetensors: {HOW_TO_CONVERT}")
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise ModelError(f"model folder {folder} has no weights: {SAFE_WEIGHTS_NAME} is missing")
    try:
        with quiet_transformers():
            model, report = TASKS[task].from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # they are in the report
                output_loading_info=True,
            )
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise ModelError(
            f"model folder {folder}: the weights cannot be loaded ({_one_line(error)})"
        ) from error

    backbone = f"{model.base_model_prefix}."
    missing = [key for key in report["missing_keys"] if not key.startswith(f"{backbone}soft_extract.")]
    resized = [f"{key} ({list(old)} instead of {list(new)})" for key, old, new in report["mismatched_keys"]]
    lacking = sorted(missing + resized)
    if random_head:
        lacking = [k for k in lacking if k.startswith(backbone) and not k.startswith(f"{backbone}pooler.")]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ModelError(
            f"model folder {folder}: the weights are not those of {type(model).__name__} as config.json "
            f"describes it; missing: {', '.join(lacking[:3])}{more}"
        )
    return model


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
