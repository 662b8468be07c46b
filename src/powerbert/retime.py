"""Time a study's models again, side by side: `python -m powerbert.retime records=<folder> output=<folder>`.

A sweep times each point when it produces it: hours apart, and perhaps beside other work or on other machines.
This command times all models that share a fine-tuned model in turn, on the same batches, in one process.
Where artifacts are missing, models of the records' shapes with random weights take their place: times do not
depend on weights, so a study can be timed on a machine that has nothing but its records.
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
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

Find = Callable[[Record, Mapping[str, Any]], Path]
"""Finds the folder of a record's model or of its fine-tuned one, as `artifact_of` does."""


def retime(cfg: DictConfig) -> None:
    """Write each record again, with operations and times measured now."""
    from powerbert.store.records import find_record, read_records, write_record

    folder, output = Path(cfg.records), Path(cfg.output)
    check(cfg)
    records = [r for r in read_records(folder) if find_record(output, r["identity"]) is None]
    with tempfile.TemporaryDirectory() as scratch:
        find = partial(artifact_of, artifacts=Path(cfg.paths.artifacts), scratch=Path(scratch))
        for group in groups(records, find):
            for start in range(0, len(group), cfg.at_once):
                some = group[start : start + cfg.at_once]
                log.info("timing %d models against %s", len(some), some[0]["baseline"]["artifact"])
                for record in timed_together(some, find, Path(cfg.paths.cache), cfg.measure):
                    log.info("record: %s", write_record(output, record))


def check(cfg: DictConfig) -> None:
    """Raise ConfigError, naming the key, for an invalid setting; nothing is loaded."""
    folder, output = Path(cfg.records).resolve(), Path(cfg.output).resolve()
    if output.is_relative_to(folder) or folder.is_relative_to(output):
        raise ConfigError(f"output: {output} and records={folder} overlap; give a separate folder")
    check_whole("at_once", cfg.at_once)
    if cfg.measure:
        from powerbert.measure import LatencySettings  # heavy

        known = {field.name for field in fields(LatencySettings)}
        if unknown := sorted(set(cfg.measure) - known):
            raise ConfigError(
                f"measure.{unknown[0]}: there is no such setting; there are {', '.join(sorted(known))}"
            )
        LatencySettings(**cfg.measure)


def groups(records: Iterable[Record], find: Find) -> list[list[Record]]:
    """Group records by fine-tuned model and timing settings; each group can be timed in turn.

    Raises:
        ModelError: if a model can be neither found nor made.
    """
    together: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        for part in (record, record["baseline"]):
            find(record, part)
        settings = record["config"]["measure"]
        together[record["baseline"]["artifact"], repr(sorted(settings.items()))].append(record)
    return list(together.values())


def artifact_of(record: Record, part: Mapping[str, Any], artifacts: Path, scratch: Path) -> Path:
    """Return the folder of a record's model, or of its fine-tuned one, and make one in `scratch` if need be.

    Args:
        part: the record, or its `baseline`.

    Raises:
        ModelError: if the artifact is damaged, or missing and the record does not suffice to make one.
    """
    from powerbert.base.files import is_file_name
    from powerbert.store.artifacts import MANIFEST, Artifact

    name = part["artifact"] if "artifact" in part else list(part["artifacts"].values())[-1]
    if not is_file_name(name):
        raise ModelError(f"a record names the artifact {name!r}, which is not a folder name")
    if (artifacts / name / MANIFEST).exists() or "shape" not in part:
        try:
            return Artifact.load(artifacts / name).path
        except ModelError as error:
            raise ModelError(
                f"{error}. All artifacts of the records must be in paths.artifacts={artifacts}"
            ) from error
    if "retention_thresholds" in record:
        raise ModelError(
            f"{artifacts / name}: the artifact is missing, and the times of method={record['method']} depend "
            "on its weights"
        )
    if not (scratch / name).exists():
        log.info("%s is missing: timing a model of its shape with random weights", artifacts / name)
        _make(scratch / name, part["shape"], record, scratch)
    return scratch / name


def _make(folder: Path, shape: Mapping[str, Any], record: Record, cache: Path) -> None:
    """Save a model with random weights, given its config, beside the tokenizer of the record's model."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from transformers import CONFIG_MAPPING

    from powerbert.base.cli import CONFIG_FOLDER
    from powerbert.models import load_tokenizer, quiet_transformers
    from powerbert.models.backbone import ALIKE, TASKS

    config, yaml = record["config"], CONFIG_FOLDER / "model" / f"{record['model']}.yaml"
    if not yaml.is_file():
        raise ModelError(f"{folder.name}: the artifact is missing, and conf/model has no {record['model']}")
    known = OmegaConf.merge(OmegaConf.load(yaml), config["model"])
    node = OmegaConf.create({"paths": {"cache": str(cache)}, "model": known})
    tokenizer = load_tokenizer(instantiate(node.model.checkpoint))
    tokenizer.model_max_length = record["max_length"]
    kind = config["dataset"]["kind"]
    model = TASKS[ALIKE.get(kind, kind)].from_config(
        CONFIG_MAPPING[shape["model_type"]].from_dict(dict(shape))
    )
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def timed_together(
    records: Sequence[Record], find: Find, cache: Path, measure: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Time the models of one of `groups`, or of a part of it, in turn with their fine-tuned model.

    Args:
        measure: settings of the timing that replace the records'.

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
    settings = {**records[0]["config"]["measure"], "patience": 60, **measure}
    del settings["_target_"]
    finetuned = find(records[0], records[0]["baseline"])
    artifact = Artifact.find(finetuned)
    config = records[0]["config"] if artifact is None else artifact.manifest["config"]
    subject = Subject(str(finetuned), dataset=dataset_settings(config["dataset"], cache))
    if artifact is not None:
        trained_on = artifact.manifest["identity"]["dataset"]["content"]
        if instantiate(subject.settings["source"]).fingerprint() != trained_on:
            raise DataError(
                f"dataset '{subject.task.name}': its content has changed since {finetuned} was trained on it"
            )
    length, task = subject.max_length, subject.task
    models: list[Any] = [load_model(find(record, record)) for record in records]
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


def dataset_settings(settings: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """Return the node `dataset` that a model was trained with, adapted to this machine.

    A dataset of `conf/dataset` is looked for where its yaml says.
    """
    from powerbert.data.task import LOCATION_KEYS, packaged_source

    named = {key: value for key, value in settings["source"].items() if key not in LOCATION_KEYS}
    here = packaged_source(settings["name"], cache)
    return {**settings, "source": here | named if here else settings["source"]}


if __name__ == "__main__":
    entry_point(retime, "retime")
