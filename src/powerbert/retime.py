"""Time a study's models again, side by side: `python -m powerbert.retime records=<folder> output=<folder>`.

A sweep times each point when it produces it: hours apart, and perhaps beside other work. This command times
all models that share a fine-tuned model in turn, on the same batches, in one process.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from powerbert.base.checks import check_whole
from powerbert.base.cli import entry_point
from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.store.naming import Record

log = logging.getLogger(__name__)


def retime(cfg: DictConfig) -> None:
    """Write each record again, with operations and times measured now."""
    from powerbert.store.records import find_record, read_records, write_record

    folder, output = Path(cfg.records), Path(cfg.output)
    check(cfg)
    records = [r for r in read_records(folder) if find_record(output, r["identity"]) is None]
    for group in groups(records, Path(cfg.paths.artifacts)):
        for start in range(0, len(group), cfg.at_once):
            some = group[start : start + cfg.at_once]
            log.info("timing %d models against %s", len(some), some[0]["baseline"]["artifact"])
            for record in timed_together(some, Path(cfg.paths.artifacts), Path(cfg.paths.cache)):
                log.info("record: %s", write_record(output, record))


def check(cfg: DictConfig) -> None:
    """Raise ConfigError, naming the key, for an invalid setting; nothing is loaded."""
    folder, output = Path(cfg.records).resolve(), Path(cfg.output).resolve()
    if output.is_relative_to(folder) or folder.is_relative_to(output):
        raise ConfigError(f"output: {output} and records={folder} overlap; give a separate folder")
    check_whole("at_once", cfg.at_once)


def groups(records: Iterable[Record], artifacts: Path) -> list[list[Record]]:
    """Group records by fine-tuned model and timing settings; each group can be timed in turn.

    Raises:
        ModelError: if an artifact is missing from the folder `artifacts`, or damaged.
    """
    from powerbert.base.files import is_file_name
    from powerbert.store.artifacts import Artifact

    together: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        for name in (_final(record), record["baseline"]["artifact"]):
            if not is_file_name(name):
                raise ModelError(f"a record names the artifact {name!r}, which is not a folder name")
            try:
                Artifact.load(artifacts / name)
            except ModelError as error:
                raise ModelError(
                    f"{error}. All artifacts of the records must be in paths.artifacts={artifacts}"
                ) from error
        settings = record["config"]["measure"]
        together[record["baseline"]["artifact"], repr(sorted(settings.items()))].append(record)
    return list(together.values())


def timed_together(records: Sequence[Record], artifacts: Path, cache: Path) -> list[dict[str, Any]]:
    """Time the models of one of `groups`, or of a part of it, in turn with their fine-tuned model.

    Returns:
        The records with new `flops`, `latency` and `environment`, and with `retimed`: the time, and the
        number of models timed in turn.

    Raises:
        DataError: if the dataset is not available, or its content differs from the models' training data.
    """
    import numpy as np
    from hydra.utils import instantiate

    from powerbert.base.environment import default_device
    from powerbert.data import PaddingCollator, row_lengths
    from powerbert.measure import (
        LatencySettings,
        compare_flops,
        describe_environment,
        measure_latencies,
        single_inputs,
    )
    from powerbert.models import load_model
    from powerbert.predict.subject import Subject
    from powerbert.store.artifacts import Artifact

    device = default_device()
    settings = {key: value for key, value in records[0]["config"]["measure"].items() if key != "_target_"}
    finetuned = Artifact.load(artifacts / records[0]["baseline"]["artifact"])
    subject = Subject(str(finetuned.path), dataset=dataset_settings(finetuned.manifest, cache))
    trained_on = finetuned.manifest["identity"]["dataset"]["content"]
    if instantiate(subject.settings["source"]).fingerprint() != trained_on:
        raise DataError(
            f"dataset '{subject.task.name}': its content has changed since {finetuned.path} was trained on it"
        )
    length, task = subject.max_length, subject.task
    models: list[Any] = [load_model(artifacts / _final(record)) for record in records]
    for record, model in zip(records, models, strict=True):
        if getattr(model, "speeds", ()):
            model.set_speed(record["knob"]["speed"])
    collate = PaddingCollator(subject.predictor.tokenizer, task)
    latencies = measure_latencies(
        [model.to(device) for model in models],
        subject.model,
        subject.encoded,
        max_length=length,
        collate=collate,
        settings=LatencySettings(**settings),
    )
    lengths = np.minimum(row_lengths(subject.encoded), length)
    retimed = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "models": len(models) + 1}
    sample = partial(single_inputs, subject.encoded, collate)
    timed = []
    for record, model, latency in zip(records, models, latencies, strict=True):
        measured = {
            "flops": compare_flops(model, subject.model, length, lengths, task.num_choices, sample),
            "latency": latency,
            "environment": describe_environment(device),
            "retimed": retimed,
        }
        timed.append({**record, **measured})
    return timed


def _final(record: Record) -> str:
    """Return the name of the artifact of a record's last stage."""
    return list(record["artifacts"].values())[-1]


def dataset_settings(manifest: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """Return the node `dataset` that an artifact was trained with, adapted to this machine.

    A dataset of `conf/dataset` is looked for where its yaml says.
    """
    from powerbert.data.task import LOCATION_KEYS, packaged_source

    settings: dict[str, Any] = manifest["config"]["dataset"]
    named = {key: value for key, value in settings["source"].items() if key not in LOCATION_KEYS}
    here = packaged_source(settings["name"], cache)
    return settings | {"source": here | named if here else settings["source"]}


if __name__ == "__main__":
    entry_point(retime, "retime")
