"""Records: one JSON file for each point of the trade-off, added once and never edited."""

import json
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from powerbert.base.errors import DataError, shorten
from powerbert.base.files import file_name, plain, write_synced
from powerbert.base.progress import progress

RECORD_VERSION = 1
OPEN = ConfigDict(extra="allow", strict=True)
"""Further fields are kept, and no value is converted."""

log = logging.getLogger(__name__)


@with_config(OPEN)
class Metric(TypedDict):
    """A metric on the evaluation split; null where it was not finite."""

    name: str
    value: float | None
    split: NotRequired[str]
    dev: NotRequired[float | None]


@with_config(OPEN)
class Baseline(TypedDict):
    """The same metric of the fine-tuned model."""

    value: float | None
    dev: NotRequired[float | None]
    artifact: NotRequired[str]


@with_config(OPEN)
class WordVectors(TypedDict):
    """Word-vectors that all encoders process, of one input padded to `max_length`."""

    retained: int
    baseline: int


@with_config(OPEN)
class Flops(TypedDict):
    """Floating-point operations of one input padded to `max_length`."""

    model: float | None
    baseline: float | None
    ratio: float | None


@with_config(OPEN)
class Timing(TypedDict):
    """Milliseconds per batch under one protocol; `speedup` is `baseline_ms / model_ms`."""

    batch_size: int
    model_ms: float | None
    baseline_ms: float | None
    speedup: float | None
    disturbed: NotRequired[bool | None]
    others: NotRequired[float | None]


@with_config(OPEN)
class Latency(TypedDict):
    """Times under both protocols."""

    padded: Timing
    dynamic: Timing


@with_config(OPEN)
class Record(TypedDict):
    """The contract: what every record holds, and what records of this version may hold besides."""

    record_version: int
    identity: NotRequired[str]
    method: str
    dataset: str
    model: str
    knob: dict[str, Any]
    seed: int
    metric: Metric
    baseline: Baseline
    retention_configuration: list[int] | None
    max_length: int
    word_vectors: WordVectors
    flops: Flops
    latency: Latency
    artifacts: dict[str, Any]
    environment: dict[str, Any]
    config: dict[str, Any]


_RECORD = TypeAdapter(Record)


def validate(record: Mapping[str, Any]) -> None:
    """Check a record against the contract.

    Raises:
        DataError: naming the field that is missing or has the wrong type, or if a newer powerbert wrote the
            record.
    """
    check_version("record_version", record.get("record_version"), RECORD_VERSION)
    problem = first_problem(_RECORD, record)
    if problem is not None:
        raise DataError(problem)


def check_version(name: str, version: object, newest: int) -> None:
    """Raise DataError if a newer powerbert wrote what has this version."""
    if isinstance(version, int) and version > newest:
        raise DataError(
            f"{name}: {version} was written by a newer powerbert; this one reads up to {newest}. "
            "Update powerbert"
        )


def first_problem(contract: TypeAdapter[Any], value: object) -> str | None:
    """Say which field of a value breaks a contract first, and how; None if the value keeps it."""
    try:
        contract.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"{field}: this field is missing"
        expected = first["msg"].removeprefix("Input should be ")
        return f"{field}: {shorten(repr(first['input']))} must be {expected}"
    return None


def write_record(folder: Path | str, record: Mapping[str, Any]) -> Path:
    """Add a record to a folder, unless the folder has one of the same identity.

    The file appears whole or not at all.

    Args:
        record: the contract's fields and `identity`, the hash of what determines the run. Numbers that are
            not finite are written as null.

    Returns:
        The record's file, named after dataset, model, method, knob, seed and identity.

    Raises:
        DataError: if the record breaks the contract.
    """
    record = plain(record)
    validate(record)
    if not isinstance(record.get("identity"), str) or not record["identity"]:
        raise DataError("identity: a record to be written needs the hash of its run")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    existing = find_record_file(folder, record["identity"])
    if existing is not None:
        log.info("record %s exists and is kept", existing)
        return existing
    knob = "_".join(f"{name}={_short(value)}" for name, value in record["knob"].items()) or "default"
    name = file_name(
        record["dataset"],
        record["model"],
        record["method"],
        knob,
        f"seed={record['seed']}",
        _tail(record["identity"]),
    )
    path = folder / f"{name}.json"
    temporary = folder / f".{uuid.uuid4().hex}.part"
    try:
        write_synced(temporary, record)
        _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_records(folder: Path | str) -> list[dict[str, Any]]:
    """Read every JSON file in a folder and its sub-folders as a record, in the order of the files' names.

    Raises:
        DataError: if the folder does not exist, or naming the file that is not a valid record.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of records")
    return [read_record(path) for path in progress(sorted(folder.rglob("*.json")), "Reading records")]


def read_record(path: Path | str) -> dict[str, Any]:
    """Read and validate one record.

    Raises:
        DataError: naming the file, if it cannot be read or is not a valid record.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable record ({error}); move the file away") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: a record is a JSON object, not {type(record).__name__}; move the file away")
    try:
        validate(record)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return record


def find_record(folder: Path | str, identity: str) -> dict[str, Any] | None:
    """Find the record of a run by its identity, in a folder and its sub-folders; the folder need not exist.

    Raises:
        DataError: naming the file, if the run's record cannot be read.
    """
    path = find_record_file(folder, identity)
    return None if path is None else read_record(path)


def find_record_file(folder: Path | str, identity: str) -> Path | None:
    """Find the file of a run's record, as `find_record` does."""
    for path in sorted(Path(folder).rglob(f"*-{_tail(identity)}.json")):
        if read_record(path).get("identity") == identity:
            return path
    return None


def recorded(folder: Path | str) -> Callable[[str], bool]:
    """Read the names of a folder's records once; the returned function says whether an identity has one."""
    tails = {path.stem.rpartition("-")[2] for path in Path(folder).rglob("*.json")}
    return lambda identity: _tail(identity) in tails


def _publish(temporary: Path, path: Path) -> None:
    """Give a whole file its name, unless another process took the name first."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        log.info("record %s exists and is kept", path)
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(temporary, path)


def _tail(identity: str) -> str:
    """The end of the file name, by which a record is found without reading the others."""
    return file_name(identity, longest=12)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
