"""Checkpoints of the Hugging Face hub."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError

from powerbert.errors import ModelError

PATIENCE = 6.0
"""Seconds that the hub has to answer; its client alone would wait and retry for much longer."""

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
        ModelError: If there is neither, within seconds where there is no network.
    """
    try:
        _within(PATIENCE, lambda: HfApi().model_info(repository, timeout=PATIENCE))
    except RepositoryNotFoundError as error:
        raise ModelError(f"model.path: the hub has no model '{repository}', nor is it a folder") from error
    except Exception as error:  # the clients raise exceptions of several HTTP libraries
        return _cached_snapshot(repository, error)
    try:
        return Path(snapshot_download(repository, allow_patterns=list(CHECKPOINT_FILES)))
    except Exception as error:  # as above
        raise ModelError(f"model '{repository}' could not be downloaded ({_first_line(error)})") from error


def _cached_snapshot(repository: str, unreachable: Exception) -> Path:
    try:
        folder = snapshot_download(repository, allow_patterns=list(CHECKPOINT_FILES), local_files_only=True)
    except Exception:
        raise ModelError(
            f"model '{repository}' is not on this machine and the hub cannot be reached "
            f"({_first_line(unreachable)}); what runs offline: model.path=<checkpoint folder> or "
            "model=minilm_l6"
        ) from unreachable
    return Path(folder)


def _within(seconds: float, function: Callable[[], object]) -> None:
    """Call a function that may hang, as looking up a host does without a network; then leave it alone."""
    answer: Future[object] = Future()

    def call() -> None:
        try:
            answer.set_result(function())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    answer.result(timeout=seconds)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
