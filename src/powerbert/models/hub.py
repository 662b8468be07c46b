"""Checkpoints of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError

from powerbert.base.errors import ModelError
from powerbert.base.hub import PATIENCE, first_line, within
from powerbert.models.pickled import HOW_TO_CONVERT, only_pickled

CHECKPOINT_FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "spiece.model",
)
"""What a run needs of a checkpoint; the hub's repositories hold the same weights in other formats too."""


def hub_snapshot(repository: str) -> Path:
    """Folder of a hub checkpoint: the newest if the hub answers, else the one that an earlier run left.

    Args:
        repository: Such as ``google-bert/bert-base-uncased``.

    Raises:
        ModelError: If there is neither, within seconds where there is no network; or if the weights are
            pickled.
    """
    try:
        info = within(PATIENCE, lambda: HfApi().model_info(repository, timeout=PATIENCE))
    except RepositoryNotFoundError as error:
        raise ModelError(f"model.path: the hub has no model '{repository}', nor is it a folder") from error
    except Exception as error:  # the clients raise exceptions of several HTTP libraries
        return _cached_snapshot(repository, error)
    if only_pickled(file.rfilename for file in info.siblings or ()):
        raise ModelError(
            f"model '{repository}' has pickled weights and no safetensors: {HOW_TO_CONVERT}, then give "
            "model.path=<that folder>"
        )
    try:
        return Path(snapshot_download(repository, allow_patterns=list(CHECKPOINT_FILES)))
    except Exception as error:  # as above
        raise ModelError(f"model '{repository}' could not be downloaded ({first_line(error)})") from error


def _cached_snapshot(repository: str, unreachable: Exception) -> Path:
    try:
        folder = snapshot_download(repository, allow_patterns=list(CHECKPOINT_FILES), local_files_only=True)
    except Exception:
        raise ModelError(
            f"model '{repository}' is not on this machine and the hub cannot be reached "
            f"({first_line(unreachable)}); what runs offline: model.path=<checkpoint folder> or "
            "model=minilm_l6"
        ) from unreachable
    return Path(folder)
