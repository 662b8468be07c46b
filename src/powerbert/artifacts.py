"""The artifact store: finished models on disk, addressed by a hash of exactly what influenced them."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from powerbert.errors import ModelError
from powerbert.jsonio import content_hash, file_name, plain, sync, write_synced
from powerbert.measure.environment import git_commit, versions

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1

log = logging.getLogger(__name__)

_WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin"})


def identity_hash(identity: Mapping[str, Any]) -> str:
    """Addresses a run by what influences its result.

    Args:
        identity: the resolved configuration that influences the result, and no more; nested
            mappings, lists and scalars. The order of keys does not matter.

    Returns:
        The first 16 hexadecimal digits of the SHA-256 of its canonical JSON.
    """
    return content_hash(identity)


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: a Hugging Face model folder with a manifest.

    Attributes:
        path: the folder, to be given to `from_pretrained`.
        manifest: what `manifest.json` holds: `manifest_version`, `id`, `identity`, `parents`,
            `metrics`, `versions`, `git_commit`, `created` and `weights` (size and SHA-256 by file).
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """The readable name and the hash of the identity, which other artifacts name as their parent."""
        return self.manifest["id"]

    @property
    def metrics(self) -> dict[str, Any]:
        """The results that the run reported."""
        return self.manifest["metrics"]

    @classmethod
    def load(cls, path: Path | str) -> "Artifact":
        """Opens an artifact folder, checking its manifest and the sizes of its weight files.

        Args:
            path: the folder.

        Raises:
            ModelError: naming the folder or file, if the manifest is missing, corrupt or of a newer
                powerbert, or a weight file is missing or truncated.
        """
        path = Path(path)
        artifact = cls(path, _read_manifest(path / MANIFEST))
        for name, expected in artifact.manifest["weights"].items():
            file = path / name
            size = file.stat().st_size if file.is_file() else None
            if size != expected["size"]:
                found = "is missing" if size is None else f"has {size} bytes instead of {expected['size']}"
                raise ModelError(
                    f"{file}: the weight file {found}; delete the folder {path} to train it again"
                )
        return artifact

    def verify(self) -> None:
        """Reads the weight files whole and compares their SHA-256 with the manifest's.

        Raises:
            ModelError: naming the file that has changed.
        """
        for name, expected in self.manifest["weights"].items():
            if _sha256(self.path / name) != expected["sha256"]:
                raise ModelError(
                    f"{self.path / name}: the weights are not those that were written (SHA-256 differs); "
                    f"delete the folder {self.path} to train it again"
                )


@dataclass
class Workspace:
    """Where one process, holding the lock, makes an artifact.

    Attributes:
        id: the artifact's id.
        identity: what influences it.
        folder: kept when the run fails or is killed, and found again by the next attempt.
        target: where the artifact will stand.
        finished: the artifact, once it exists; set from the start if there was nothing left to do.
    """

    id: str
    identity: dict[str, Any]
    folder: Path
    target: Path
    finished: Artifact | None = field(default=None)

    @property
    def model_folder(self) -> Path:
        """Where to save the model: empty at the start of each attempt."""
        return self.folder / "artifact"

    @property
    def checkpoints(self) -> Path:
        """Where to keep checkpoints from which a later attempt goes on."""
        return self.folder / "checkpoints"

    def commit(self, metrics: Mapping[str, Any] | None = None, parents: Sequence[str] = ()) -> Artifact:
        """Turns what lies in `model_folder` into the finished artifact, whole or not at all.

        Args:
            metrics: results for the manifest.
            parents: ids of the artifacts that it was made from.

        Returns:
            The artifact at its final place.

        Raises:
            ModelError: if no weight file was saved.
        """
        weights = {
            str(file.relative_to(self.model_folder)): {"size": file.stat().st_size, "sha256": _sha256(file)}
            for file in sorted(self.model_folder.rglob("*"))
            if file.suffix in _WEIGHT_SUFFIXES
        }
        if not weights:
            raise ModelError(
                f"{self.model_folder}: no weights were saved there, so there is no artifact to finish"
            )
        manifest = {
            "manifest_version": MANIFEST_VERSION,
            "id": self.id,
            "identity": self.identity,
            "parents": list(parents),
            "metrics": dict(metrics or {}),
            "versions": versions(),
            "git_commit": git_commit(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights": weights,
        }
        write_synced(self.model_folder / MANIFEST, manifest)
        for path in (*self.model_folder.rglob("*"), self.model_folder):
            sync(path)
        os.rename(self.model_folder, self.target)
        sync(self.target.parent)
        self.finished = Artifact.load(self.target)
        return self.finished


class ArtifactStore:
    """A folder of artifacts, shared by any number of processes.

    Beside the folder of an artifact lie, while it is made, its workspace `<folder>.partial`, and the
    lock file `<folder>.lock`.
    """

    def __init__(self, root: Path | str):
        """Takes the folder.

        Args:
            root: made when the first artifact is written.
        """
        self.root = Path(root)

    def folder(self, name: str, identity: Mapping[str, Any]) -> Path:
        """Gives the place of an artifact, whether it exists or not.

        Args:
            name: for people, such as `retrain-rte-bert_base`.
            identity: what influences the artifact.
        """
        return self.root / file_name(name, identity_hash(identity), longest=80)

    def get(self, name: str, identity: Mapping[str, Any]) -> Artifact | None:
        """Looks up a finished artifact.

        Args:
            name: as for `folder`.
            identity: what influences the artifact.

        Returns:
            The artifact, or `None` if it has not been finished.

        Raises:
            ModelError: if something stands in its place that is damaged or was made otherwise.
        """
        folder = self.folder(name, identity)
        if not folder.exists():
            return None
        artifact = Artifact.load(folder)
        if artifact.manifest["identity"] != plain(identity):
            raise ModelError(
                f"{folder / MANIFEST}: its identity is not that of this run, so it was edited or moved; "
                f"delete the folder {folder} to train it again"
            )
        return artifact

    @contextmanager
    def writing(self, name: str, identity: Mapping[str, Any]) -> Iterator[Workspace]:
        """Makes an artifact once, however many processes want it and however often one is killed.

            with store.writing(name, identity) as work:
                if work.finished is None:
                    ...  # train, with checkpoints in work.checkpoints
                    model.save_pretrained(work.model_folder)
                    work.commit(metrics)
            artifact = work.finished

        While another process makes the same artifact this one waits, and then finds it finished. If the
        block ends without `commit`, the workspace stays for the next attempt.

        Args:
            name: as for `folder`.
            identity: what influences the artifact.

        Yields:
            The workspace.

        Raises:
            ModelError: as for `get`.
        """
        target = self.folder(name, identity)
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f"{target.name}.lock")):
            partial = target.with_name(f"{target.name}.partial")
            work = Workspace(target.name, plain(identity), partial, target, self.get(name, identity))
            if work.finished is None:
                shutil.rmtree(work.model_folder, ignore_errors=True)
                work.model_folder.mkdir(parents=True)
                work.checkpoints.mkdir(exist_ok=True)
            yield work
            if work.finished is not None:
                shutil.rmtree(work.folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a file lock, which the system releases even if the process is killed."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is making %s; waiting for it", path.with_suffix(""))
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def _read_manifest(path: Path) -> dict[str, Any]:
    remedy = f"delete the folder {path.parent} to train it again"
    if not path.is_file():
        raise ModelError(f"{path.parent}: no {MANIFEST} there, so it is not a finished artifact; {remedy}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: the manifest is corrupt ({error}); {remedy}") from error
    version = manifest.get("manifest_version") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > MANIFEST_VERSION:
        raise ModelError(
            f"{path}: manifest_version {version} was written by a newer powerbert; this one reads up to "
            f"{MANIFEST_VERSION}. Update powerbert, or {remedy}"
        )
    expected = {
        "manifest_version": int,
        "id": str,
        "identity": dict,
        "parents": list,
        "metrics": dict,
        "weights": dict,
    }
    for name, kind in expected.items():
        if not isinstance(manifest, dict) or not isinstance(manifest.get(name), kind):
            raise ModelError(f"{path}: the manifest is corrupt ('{name}' is missing or ill-typed); {remedy}")
    for name, entry in manifest["weights"].items():
        if not isinstance(entry, dict) or not {"size", "sha256"} <= entry.keys():
            raise ModelError(f"{path}: the manifest is corrupt ('weights.{name}' is ill-typed); {remedy}")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
