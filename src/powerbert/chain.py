"""Where a model comes from: the trainings behind it, also those of the artifact that it started from."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from powerbert.artifacts import MANIFEST, Artifact
from powerbert.errors import ModelError
from powerbert.jsonio import plain

Chain = list[dict[str, Any]]
"""Trainings, the oldest first: `artifact`, `stage`, `method`, `knob` and `epochs` of each."""

log = logging.getLogger(__name__)


def start_of(checkpoint: Path) -> Artifact | None:
    """The artifact that a run starts from, if its checkpoint is one.

    Args:
        checkpoint: the folder of the pretrained model.

    Raises:
        ModelError: if it is one but is damaged.
    """
    return Artifact.load(checkpoint) if (checkpoint / MANIFEST).is_file() else None


def chain_of(artifact: Artifact | None) -> Chain:
    """The trainings behind an artifact, its own the last; none behind a pretrained model."""
    return [] if artifact is None else list(artifact.manifest.get("chain", []))


def dense_ancestor(
    start: Artifact | None, dataset: Mapping[str, Any], folders: Sequence[Path]
) -> Artifact | None:
    """The fine-tuned model at the head of a chain of methods, which all of them are compared with.

    Args:
        start: the artifact that the run starts from.
        dataset: what identifies the data of this run; a model of other data cannot be compared.
        folders: where artifacts lie.

    Returns:
        The artifact of the chain's first stage; None if the run starts from a pretrained model, from another
        data set's, or if that artifact is gone, which is logged.
    """
    if start is None or start.manifest["identity"].get("dataset") != plain(dataset):
        return None
    chain = chain_of(start)
    if not chain:
        return None
    for folder in folders:
        try:
            return Artifact.load(folder / chain[0]["artifact"])
        except ModelError:
            continue
    log.warning(
        "%s was made from %s, which is gone: the record compares with the newly fine-tuned model instead",
        start.path,
        chain[0]["artifact"],
    )
    return None
