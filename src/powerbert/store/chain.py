"""The chain of trainings behind a model, from the first fine-tuning to its own training."""

import logging
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from powerbert.base.errors import ModelError
from powerbert.base.files import is_file_name, plain
from powerbert.store.artifacts import MANIFEST, Artifact

Chain = list[dict[str, Any]]
"""Trainings, oldest first: `artifact`, `stage`, `method`, `knob` and `epochs` of each."""

log = logging.getLogger(__name__)


def chain_of(artifact: Artifact | None) -> Chain:
    """Return the trainings behind an artifact, its own last; none behind a pretrained model.

    Raises:
        ModelError: If the manifest names an artifact by a path instead of a folder name.
    """
    if artifact is None:
        return []
    chain = list(artifact.manifest.get("chain", []))
    for training in chain:
        if not is_file_name(training["artifact"]):
            raise ModelError(
                f"{artifact.path / MANIFEST}: chain: {training['artifact']!r} is not the name of an artifact"
            )
    return chain


def dense_ancestor(
    artifact: Artifact | None, folders: Sequence[Path], dataset: Mapping[str, Any] | None = None
) -> Artifact | None:
    """Find the fine-tuned model that an artifact is compared with.

    Args:
        artifact: The last of the chain.
        folders: Where artifacts lie.
        dataset: Identity of the data, by default the artifact's; models of other data do not compare.

    Returns:
        The first artifact of the chain that was fine-tuned on the data, before any method changed the model.
        None without an artifact, for other data, or if that model is missing (a logged warning).
    """
    if artifact is None:
        return None
    own = artifact.manifest["identity"].get("dataset")
    if dataset is not None and own != plain(dataset):
        return None
    chain = chain_of(artifact)
    for training in takewhile(lambda training: training["stage"] == "finetune", chain):
        for folder in folders:
            try:
                ancestor = Artifact.load(folder / training["artifact"])
            except ModelError:
                continue
            if ancestor.manifest["identity"].get("dataset") == own:
                return ancestor
    if chain:
        log.warning("%s was made from %s, which is missing", artifact.path, chain[0]["artifact"])
    return None
