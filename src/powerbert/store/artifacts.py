"""The artifact store: finished models on disk, addressed by a hash of what influenced them."""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout
from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from powerbert.base.environment import git_commit, versions
from powerbert.base.errors import DataError, ModelError
from powerbert.base.files import content_hash, file_name, plain, sync, write_synced
from powerbert.store.records import OPEN, check_contract

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1

LEASE = 60.0
"""Seconds without a refresh after which a lock counts as abandoned."""

_NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})

log = logging.getLogger(__name__)


class _Weights(TypedDict):
    size: int  # in bytes
    sha256: str


@with_config(OPEN)
class Manifest(TypedDict):
    """What every `manifest.json` holds; a run adds `results`, `max_length`, `chain` and `config`."""

    manifest_version: int
    id: str
    identity: dict[str, Any]
    parents: list[str]
    metrics: dict[str, Any]
    weights: dict[str, _Weights]


_MANIFEST = TypeAdapter(Manifest)


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: a Hugging Face model folder `path` with a manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """The folder's original name, which ends in the hash of the identity; children name it as parent."""
        return self.manifest["id"]

    @classmethod
    def load(cls, path: Path | str) -> "Artifact":
        """Open an artifact folder; check its manifest and the sizes of its weight files.

        Raises:
            ModelError: Naming the folder or file that is missing, damaged or of a newer powerbert.
        """
        path = Path(path)
        file, remedy = path / MANIFEST, f"delete the folder {path} to train it again"
        if not file.is_file():
            raise ModelError(f"{path}: no {MANIFEST} there, so it is not a finished artifact; {remedy}")
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
            check_contract(_MANIFEST, manifest, "manifest_version", MANIFEST_VERSION)
        except (OSError, ValueError, DataError) as error:
            raise ModelError(f"{file}: the manifest cannot be used ({error}); {remedy}") from error
        for name, expected in manifest["weights"].items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ModelError(f"{file}: the manifest names weights outside its folder, {name!r}; {remedy}")
            size = (path / name).stat().st_size if (path / name).is_file() else None
            if size != expected["size"]:
                found = "is missing" if size is None else f"has {size} bytes instead of {expected['size']}"
                raise ModelError(f"{path / name}: the weight file {found}; {remedy}")
        return cls(path, manifest)

    @classmethod
    def find(cls, path: Path | str) -> "Artifact | None":
        """Open a folder that may be a plain Hugging Face model, as `load`; None without a manifest."""
        return cls.load(path) if (Path(path) / MANIFEST).is_file() else None

    def verify(self) -> None:
        """Compare the weight files with the SHA-256 in the manifest; ModelError names one that differs."""
        for name, expected in self.manifest["weights"].items():
            if _sha256(self.path / name) != expected["sha256"]:
                raise ModelError(
                    f"{self.path / name}: the weights have changed (their SHA-256 is not the manifest's); "
                    f"delete the folder {self.path} to train it again"
                )


@dataclass
class Workspace:
    """Where the process that holds the lock makes an artifact.

    Attributes:
        path: The folder of the finished artifact.
        folder: Holds the others; stays for the next attempt when the run fails or is killed.
        artifact_folder: Where to save the model; empty at the start of each attempt.
        checkpoints: Where to keep checkpoints from which a later attempt resumes.
        artifact: The finished artifact; set from the start if it exists, else by `finish`.
    """

    path: Path
    identity: dict[str, Any]
    folder: Path
    artifact_folder: Path
    checkpoints: Path
    artifact: Artifact | None

    def finish(self, metrics: Mapping[str, Any], **details: Any) -> Artifact:
        """Write the manifest, with `details` as further fields, and move `artifact_folder` to `path`.

        Raises:
            ModelError: If no weight file was saved.
        """
        source = self.artifact_folder
        weights = {
            file.relative_to(source).as_posix(): {"size": file.stat().st_size, "sha256": _sha256(file)}
            for file in sorted(source.rglob("*.safetensors"))
        }
        if not weights:
            raise ModelError(f"{source}: no weights were saved, so there is no artifact to finish")
        manifest = {
            **details,
            "manifest_version": MANIFEST_VERSION,
            "id": self.path.name,
            "identity": self.identity,
            "parents": self.identity.get("parents", []),
            "metrics": metrics,
            "versions": versions(),
            "git_commit": git_commit(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights": weights,
        }
        write_synced(source / MANIFEST, manifest)
        for path in (*source.rglob("*"), source):
            sync(path)
        os.rename(source, self.path)
        sync(self.path.parent)
        self.artifact = Artifact.load(self.path)
        return self.artifact


class ArtifactStore:
    """A folder of artifacts, shared by any number of processes and by machines that mount it.

    While an artifact is made, its workspace `<folder>.partial` and its lock file `<folder>.lock` lie beside
    its folder; the lock file stays. The lock is flock(2): the system releases it when its holder is killed,
    and an NFS server (mounted without `nolock`) when it loses contact with the holder's machine. Where the
    file system has no flock, the lock is a lease in `<folder>.lease`: its holder refreshes it, and after
    `LEASE` seconds without a refresh another process takes it.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)

    @staticmethod
    def hash(identity: Mapping[str, Any]) -> str:
        """Hash what influences a result: 16 hexadecimal digits of the SHA-256 of its canonical JSON."""
        return content_hash(identity)

    def folder(self, name: str, identity: Mapping[str, Any]) -> Path:
        """Return the folder of an artifact, which need not exist.

        Args:
            name: For people, such as `rte-bert_base-retrain`.
            identity: What influences the artifact; `parents` lists the ids of those it starts from.
        """
        return self.root / file_name(name, self.hash(identity), longest=80)

    def get(self, name: str, identity: Mapping[str, Any]) -> Artifact | None:
        """Open a finished artifact; None if it is not finished. Arguments as for `folder`.

        Raises:
            ModelError: If the folder is damaged or has another identity.
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
        """Make an artifact once, even if several processes want it and some are killed.

            with store.writing(name, identity) as work:
                if work.artifact is None:
                    ...  # train, with checkpoints in work.checkpoints
                    model.save_pretrained(work.artifact_folder)
                    work.finish(metrics)
            artifact = work.artifact

        A second process waits, and then finds the artifact finished. If the block ends without `finish`, the
        workspace stays for the next attempt. Arguments and errors as for `get`.
        """
        path = self.folder(name, identity)
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(path):
            os.scandir(self.root).close()  # makes an NFS client refresh its list of the folder
            folder = path.with_name(f"{path.name}.partial")
            places = folder, folder / "artifact", folder / "checkpoints"
            work = Workspace(path, plain(identity), *places, self.get(name, identity))
            if work.artifact is None:
                shutil.rmtree(work.artifact_folder, ignore_errors=True)
                work.artifact_folder.mkdir(parents=True)
                work.checkpoints.mkdir(exist_ok=True)
            yield work
            if work.artifact is not None:
                shutil.rmtree(work.folder, ignore_errors=True)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a path, in `<path>.lock`, which stays.

    Raises:
        filelock.Timeout: If another process holds it and this one does not `wait`.
    """
    lock: BaseFileLock = FileLock(path.with_name(f"{path.name}.lock"), fallback_to_soft=False)
    try:
        _acquire(lock, path, wait)
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        lock = SoftFileLease(path.with_name(f"{path.name}.lease"), lease_duration=LEASE)
        _acquire(lock, path, wait)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, path: Path, wait: bool) -> None:
    """Take the lock; log that it waits."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        log.info("another process is making %s; waiting for it", path)
        lock.acquire(poll_interval=0.2)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
