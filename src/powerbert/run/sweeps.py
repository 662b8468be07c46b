"""The state of a sweep's points: notes beside the records, which `powerbert.status` reads.

`<records>/.sweep/` holds a file for each sweep, which lists its points, and a file for each point that has
started. A point is named by its overrides, so a restarted sweep finds the notes of the first start. The
process that works on a point holds a lock, which the system releases when the process ends. Any launcher may
run the points, on any machine that sees the folder.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from filelock import FileLock, Timeout
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from powerbert.base.errors import UserError, find_user_error
from powerbert.base.files import content_hash, write_synced
from powerbert.run.checks import BOOKKEEPING
from powerbert.store.records import recorded

FOLDER = ".sweep"
SWEEP, POINT, LOCK = ".sweep", ".point", ".lock"
"""Suffixes of the files; records have others."""

WAIT = 0.2
"""Seconds to wait for a point's lock, which `read_sweeps` holds briefly."""

State = Literal["done", "running", "failed", "missing"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
        state: `missing` if it has not started, was interrupted, or its record is gone.
        detail: the message of a failure, or the reason why it is missing.
        seconds: its duration so far; None if it has not started or was interrupted.
    """

    overrides: tuple[str, ...]
    state: State
    detail: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Sweep:
    """One sweep.

    Attributes:
        command: the overrides of its command line.
        started: time of the last start.
        points: in order; of a search, the points that have started.
        is_search: whether the sweeper chooses points while it runs.
    """

    command: tuple[str, ...]
    started: datetime
    points: tuple[Point, ...]
    is_search: bool


class SweepNotes(Callback):
    """Write the points of a sweep when it starts; `hydra.callbacks` of `conf/train.yaml` names this class."""

    started: ClassVar[tuple[Path, str] | None] = None
    """Folders of the records and the logs of the sweep that this process started."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the list of points before the first is launched."""
        try:
            points = planned(config)
        except (HydraException, UserError):
            return  # the sweeper reports it
        overrides = config.hydra.overrides
        folder = str(config.hydra.sweep.dir)
        SweepNotes.started = (Path(config.records), folder)
        sweep = {
            "command": [*overrides.task, *(one for one in overrides.hydra if "hydra.mode" not in one)],
            "points": points,
        }
        path = Path(config.records) / FOLDER / f"{content_hash(sweep)}{SWEEP}"
        _write(path, {**sweep, "folder": folder, "started": _now()})


def planned(config: DictConfig) -> list[list[str]] | None:
    """Return the overrides of each point of a multirun; None for a search, which chooses them as it runs."""
    settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    kind: Any = Plugins.instance().class_name_to_class[settings["_target_"]]
    if not hasattr(kind, "split_arguments") or getattr(kind, "is_search", False):
        return None
    sweeper = kind(**{key: value for key, value in settings.items() if not key.startswith("_")})
    sweeper.config = config
    params = [f"{key}={value}" for key, value in sweeper.params.items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*params, *config.hydra.overrides.task])
    return [list(job) for batch in sweeper.split_arguments(overrides, None) for job in batch]


@contextmanager
def noted_point(records: Path) -> Iterator[Callable[[Mapping[str, Any] | None], None]]:
    """Note the start, end or failure of a sweep's point; do nothing outside a sweep.

    Yields:
        A function to call with the point's record, or with None if the point stops before its last stage.
    """
    job = HydraConfig.get()
    if job.mode != RunMode.MULTIRUN:
        yield lambda record: None
        return
    overrides = list(job.overrides.task)
    path = _note(records, overrides)
    note = {"overrides": overrides, "folder": str(job.sweep.dir), "started": _now()}

    def done(record: Mapping[str, Any] | None) -> None:
        identity = None if record is None else record["identity"]
        _write(path, {**note, "state": "done", "record": identity, "ended": _now()})

    with _held(path):
        _write(path, {**note, "state": "running"})
        try:
            yield done
        except Exception as raised:
            error = find_user_error(raised) or raised
            message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            _write(path, {**note, "state": "failed", "error": message, "ended": _now()})
            raise


def read_sweeps(records: Path) -> list[Sweep]:
    """Read the sweeps that were started into a folder of records, the latest last."""
    found = sorted(_read_all(records, SWEEP), key=lambda note: note["started"])
    has_record = recorded(records)
    begun = _read_all(records, POINT)
    sweeps = []
    for sweep in found:
        jobs = sweep["points"]
        if jobs is None:
            own = (note for note in begun if note["folder"] == sweep["folder"])
            jobs = [note["overrides"] for note in sorted(own, key=lambda note: note["started"])]
        points = [_point(_note(records, job), job, has_record) for job in jobs]
        started = datetime.fromisoformat(sweep["started"])
        sweeps.append(Sweep(tuple(sweep["command"]), started, tuple(points), sweep["points"] is None))
    return sweeps


def failures() -> list[str]:
    """List the failed points of the sweep that this process started, one line each, wherever they ran."""
    if SweepNotes.started is None:
        return []
    records, folder = SweepNotes.started
    notes = [note for note in _read_all(records, POINT) if note["folder"] == folder]
    return [f"{' '.join(note['overrides'])}: {note['error']}" for note in notes if note["state"] == "failed"]


def _point(path: Path, overrides: Sequence[str], has_record: Callable[[str], bool]) -> Point:
    note = _read(path)
    if note is not None and note["state"] == "running":
        if _is_held(path):
            since = datetime.fromisoformat(note["started"])
            return Point(tuple(overrides), "running", seconds=(datetime.now(UTC) - since).total_seconds())
        note = _read(path)  # it may have just ended
    if note is None:
        return Point(tuple(overrides), "missing")
    if note["state"] == "running":
        return Point(tuple(overrides), "missing", "interrupted; it resumes when the sweep is started again")
    if note["state"] == "done" and note["record"] is not None and not has_record(note["record"]):
        return Point(tuple(overrides), "missing", "its record is gone")
    ended, started = (datetime.fromisoformat(note[key]) for key in ("ended", "started"))
    return Point(tuple(overrides), note["state"], note.get("error", ""), (ended - started).total_seconds())


def _note(records: Path, overrides: Sequence[str]) -> Path:
    """Return the file of a point; keys that do not change a result do not count."""
    kept = [
        one for one in overrides if one.lstrip("+~").partition("=")[0].partition(".")[0] not in BOOKKEEPING
    ]
    return records / FOLDER / f"{content_hash({'overrides': sorted(kept)})}{POINT}"


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock of a point, unless another process has it: two sweeps may share a point."""
    lock = FileLock(path.with_suffix(LOCK))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=WAIT)
    except (Timeout, OSError) as error:
        log.debug("no lock for %s: %s", path, error)
    try:
        yield
    finally:
        lock.release()


def _is_held(path: Path) -> bool:
    lock = FileLock(path.with_suffix(LOCK))
    try:
        with lock.acquire(timeout=0):
            return False
    except (Timeout, OSError):  # without a usable lock, trust the note
        return True


def _read_all(records: Path, suffix: str) -> list[dict[str, Any]]:
    notes = (_read(path) for path in sorted((records / FOLDER).glob(f"*{suffix}")))
    return [note for note in notes if note is not None]


def _read(path: Path) -> dict[str, Any] | None:
    """Read a note; None if it is missing or unreadable."""
    try:
        note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note


def _write(path: Path, note: Mapping[str, Any]) -> None:
    """Write a note whole; a failure to write it does not stop the sweep."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(path, note)
    except OSError as error:
        log.warning("cannot write the state of the sweep to %s: %s", path, error)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
