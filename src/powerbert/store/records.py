"""Records: one JSON file for each point of the trade-off, added once and never edited."""

import json
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from powerbert.base.errors import DataError
from powerbert.base.files import file_name, plain, write_synced
from powerbert.base.progress import progress

RECORD_VERSION = 1

log = logging.getLogger(__name__)

_NUMBER = (int, float, type(None))  # null stands for a number that was not finite
_LATENCY = {"batch_size": (int,), "model_ms": _NUMBER, "baseline_ms": _NUMBER, "speedup": _NUMBER}
_FIELDS: dict[str, Any] = {
    "record_version": (int,),
    "method": (str,),
    "dataset": (str,),
    "model": (str,),
    "knob": {},
    "seed": (int,),
    "metric": {"name": (str,), "value": _NUMBER},
    "baseline": {"value": _NUMBER},
    "retention_configuration": (list, type(None)),
    "max_length": (int,),
    "word_vectors": {"retained": (int,), "baseline": (int,)},
    "flops": {"model": _NUMBER, "baseline": _NUMBER, "ratio": _NUMBER},
    "latency": {"padded": _LATENCY, "dynamic": _LATENCY},
    "artifacts": {},
    "environment": {},
    "config": {},
}
"""What a record must hold: the types that a field may have, or the fields of a mapping."""

_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    type(None): "null",
}


def validate(record: Mapping[str, Any]) -> None:
    """Checks that a record has every field of the contract, with a value of the right type.

    Args:
        record: may hold any further fields.

    Raises:
        DataError: naming the field that is missing or has the wrong type, or if a newer powerbert
            wrote the record.
    """
    version = record.get("record_version")
    if isinstance(version, int) and version > RECORD_VERSION:
        raise DataError(
            f"record_version: {version} was written by a newer powerbert; this one reads up to "
            f"{RECORD_VERSION}. Update powerbert"
        )
    _check(record, _FIELDS, "")
    configuration = record["retention_configuration"]
    if configuration is not None and not all(_has_type(entry, (int,)) for entry in configuration):
        raise DataError(f"retention_configuration: {configuration!r} must hold whole numbers only")


def write_record(folder: Path | str, record: Mapping[str, Any]) -> Path:
    """Adds a record to a folder.

    The file appears whole or not at all. If a record of the same identity is there already, it stands and
    nothing is written.

    Args:
        folder: made if missing.
        record: the contract's fields and `identity`, the hash of what determines the run. Numbers
            that are not finite are written as null.

    Returns:
        The record's file, named after dataset, model, method, knob, seed and identity.

    Raises:
        DataError: if the record breaks the contract.
    """
    record = plain(record)
    validate(record)
    if not isinstance(record.get("identity"), str) or not record["identity"]:
        raise DataError("identity: a record to be written needs the hash of its run here, a string")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    existing = find_record_file(folder, record["identity"])
    if existing is not None:
        log.info("record %s is there already and stands", existing)
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
    """Reads every record in a folder and its sub-folders.

    Args:
        folder: holds JSON files that are records, and no other JSON files.

    Returns:
        The records in the order of their files' names; empty if there are none.

    Raises:
        DataError: if the folder does not exist, or naming the file that is not a valid record.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of records")
    return [read_record(path) for path in progress(sorted(folder.rglob("*.json")), "Reading records")]


def read_record(path: Path | str) -> dict[str, Any]:
    """Reads and validates one record.

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
    """Looks up the record of a run.

    Args:
        folder: searched with its sub-folders; it need not exist.
        identity: the hash of what determines the run.

    Returns:
        The record, or `None` if the run has not written one.

    Raises:
        DataError: naming the file, if the run's record cannot be read.
    """
    path = find_record_file(folder, identity)
    return None if path is None else read_record(path)


def find_record_file(folder: Path | str, identity: str) -> Path | None:
    """Looks up the file of a run's record; see `find_record`."""
    for path in sorted(Path(folder).rglob(f"*-{_tail(identity)}.json")):
        if read_record(path).get("identity") == identity:
            return path
    return None


def recorded(folder: Path | str) -> Callable[[str], bool]:
    """Answers whether runs have a record, from one look at the names of the files.

    Args:
        folder: searched with its sub-folders.

    Returns:
        A function of a run's identity.
    """
    tails = {path.stem.rpartition("-")[2] for path in Path(folder).rglob("*.json")}
    return lambda identity: _tail(identity) in tails


def _publish(temporary: Path, path: Path) -> None:
    """Gives a whole file its name, unless another process has taken the name meanwhile."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        log.info("record %s is there already and stands", path)
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(temporary, path)


def _check(values: Mapping[str, Any], fields: Mapping[str, Any], prefix: str) -> None:
    for name, expected in fields.items():
        field = f"{prefix}{name}"
        if name not in values:
            raise DataError(f"{field}: this field of the record is missing")
        value = values[name]
        if isinstance(expected, Mapping):
            if not isinstance(value, Mapping):
                raise DataError(f"{field}: {value!r} must be a mapping")
            _check(value, expected, f"{field}.")
        elif not _has_type(value, expected):
            choices = " or ".join(
                _TYPE_NAMES[kind] for kind in expected if not (kind is int and float in expected)
            )
            raise DataError(f"{field}: {value!r} must be {choices}")


def _has_type(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _tail(identity: str) -> str:
    """The end of the file name, by which a record is found without reading the others."""
    return file_name(identity, longest=12)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
