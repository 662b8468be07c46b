"""Records: one JSON file per trade-off point, added once and never edited."""

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
"""Keep further fields and convert no value; holds for nested contracts too."""

log = logging.getLogger(__name__)


class _Class(TypedDict):
    precision: float
    recall: float
    f1: float
    support: int  # rows that have it
    threshold: NotRequired[float]  # of several labels: the probability from which an input has it


_Classes = dict[str, _Class]


class _Metric(TypedDict):
    name: str
    value: float | None  # null where it was not finite
    split: NotRequired[str]
    dev: NotRequired[float | None]
    per_class: NotRequired[_Classes]


class _Baseline(TypedDict):
    value: float | None
    dev: NotRequired[float | None]
    per_class: NotRequired[_Classes]
    artifact: NotRequired[str]


class _WordVectors(TypedDict):
    retained: int
    baseline: int


class _Operations(TypedDict):
    model: float | None
    baseline: float | None
    ratio: float | None


class _Flops(_Operations):
    dynamic: NotRequired[_Operations]  # of a mean input of the evaluation split, without padding


class _Target(TypedDict):
    speedup: float
    protocol: str  # padded or dynamic
    predicted: float | None  # speed-up at the end of the search


class _Timing(TypedDict):
    batch_size: int
    model_ms: float | None  # per batch
    baseline_ms: float | None
    speedup: float | None  # baseline_ms / model_ms
    disturbed: NotRequired[bool | None]
    others: NotRequired[float | None]


class _Latency(TypedDict):
    padded: _Timing
    dynamic: _Timing


@with_config(OPEN)
class Contract(TypedDict):
    """What every record holds, and the optional fields whose type is checked."""

    record_version: int
    identity: NotRequired[str]
    method: str
    dataset: str
    model: str
    knob: dict[str, Any]
    seed: int
    metric: _Metric  # on the evaluation split
    baseline: _Baseline  # the same metric of the fine-tuned model
    retention_configuration: list[int] | None
    retention_shares: NotRequired[list[float]]  # of an input's real words, that each encoder retains
    retention_thresholds: NotRequired[list[float]]  # of the attention that a word receives, by encoder
    retained: NotRequired[list[float]]  # words that leave each encoder, mean of the evaluation split
    shape: NotRequired[dict[str, Any]]  # config of the model, from which one of the same speed can be made
    cls_alone: NotRequired[bool]  # whether the last encoder computes [CLS] alone
    target: NotRequired[_Target]  # what `target_speedup` asked for
    max_length: int
    word_vectors: _WordVectors  # that all encoders process, of one input padded to `max_length`
    flops: _Flops  # floating-point operations of one input padded to `max_length`
    latency: _Latency
    artifacts: dict[str, Any]
    seconds: NotRequired[dict[str, float | None]]  # of each stage's training; None if it was interrupted
    environment: dict[str, Any]
    config: dict[str, Any]


_CONTRACT = TypeAdapter(Contract)


def validate(record: object) -> None:
    """Raise DataError, naming the first field that breaks the contract of records."""
    check_contract(_CONTRACT, record, "record_version", RECORD_VERSION)


def check_contract(contract: TypeAdapter[Any], value: object, version: str, newest: int) -> None:
    """Check JSON content, whose field `version` holds the version of its format.

    Raises:
        DataError: Naming the first invalid field, or the version if a newer powerbert wrote the content.
    """
    found = value.get(version) if isinstance(value, Mapping) else None
    if isinstance(found, int) and found > newest:
        raise DataError(f"{version}: {found} was written by a newer powerbert; this one reads up to {newest}")
    try:
        contract.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "content"
        if first["type"] == "missing":
            raise DataError(f"{field}: this field is missing") from None
        expected = first["msg"].removeprefix("Input should be ")
        raise DataError(f"{field}: {shorten(repr(first['input']))} must be {expected}") from None


def write_record(folder: Path | str, record: Mapping[str, Any]) -> Path:
    """Add a record to a folder, whole or not at all; an existing record of the same identity is kept.

    Args:
        record: The contract's fields with `identity`, the hash of what determines the run. Numbers that are
            not finite are written as null.

    Returns:
        The record's file, named after dataset, model, method, knob, seed and identity.

    Raises:
        DataError: If the record breaks the contract or has no identity.
    """
    record = plain(record)
    validate(record)
    if not record.get("identity"):
        raise DataError("identity: a new record needs the hash of its run")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = find_record_file(folder, record["identity"])
    if path is not None:
        log.info("record %s exists and is kept", path)
        return path
    knob = "_".join(f"{name}={_short(value)}" for name, value in record["knob"].items()) or "default"
    names = record["dataset"], record["model"], record["method"], knob, f"seed={record['seed']}"
    path = folder / f"{file_name(*names, _tail(record['identity']))}.json"
    temporary = folder / f".{uuid.uuid4().hex}.part"
    try:
        write_synced(temporary, record)
        _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_records(folder: Path | str) -> list[dict[str, Any]]:
    """Read every JSON file in a folder and its sub-folders as a record, in the order of the file names.

    Raises:
        DataError: If the folder does not exist, or naming the first file that is not a valid record.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of records")
    return [read_record(path) for path in progress(sorted(folder.rglob("*.json")), "Reading records")]


def read_record(path: Path | str) -> dict[str, Any]:
    """Read a record; DataError names the file if it is not a valid one."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        validate(record)
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{path}: not a valid record ({error}); move the file away") from error
    return record


def find_record(folder: Path | str, identity: str) -> dict[str, Any] | None:
    """Find the record of a run in a folder, which need not exist, and its sub-folders.

    Raises:
        DataError: Naming the file, if the run's record cannot be read.
    """
    path = find_record_file(folder, identity)
    return None if path is None else read_record(path)


def find_record_file(folder: Path | str, identity: str) -> Path | None:
    """Find the file of a run's record, as `find_record` does."""
    paths = sorted(Path(folder).rglob(f"*-{_tail(identity)}.json"))
    return next((path for path in paths if read_record(path).get("identity") == identity), None)


def recorded(folder: Path | str) -> Callable[[str], bool]:
    """List a folder's record files once; the returned function tells whether an identity has one."""
    tails = {path.stem.rpartition("-")[2] for path in Path(folder).rglob("*.json")}
    return lambda identity: _tail(identity) in tails


def _publish(temporary: Path, path: Path) -> None:
    """Rename a file, unless another process has taken the name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        log.info("record %s exists and is kept", path)
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(temporary, path)


def _tail(identity: str) -> str:
    """Return the end of a record's file name, by which it is found without reading the others."""
    return file_name(identity, longest=12)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
