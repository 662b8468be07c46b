"""Times a study's points again, side by side: `python -m powerbert.retime records=<folder> output=<folder>`.

A sweep times each point when it is made: hours apart, and perhaps beside other work. Here the models of all
points that share a fine-tuned model are timed in turn on the same batches, in one process.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from powerbert.base.cli import entry_point
from powerbert.base.errors import ConfigError, DataError, ModelError

Record = dict[str, Any]

log = logging.getLogger(__name__)


def retime(cfg: DictConfig) -> None:
    """Writes each record anew, with the operations and times of today."""
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
    """Refuses what cannot be meant, before anything is loaded.

    Args:
        cfg: the composed configuration of `conf/retime.yaml`.

    Raises:
        ConfigError: naming the key.
    """
    folder, output = Path(cfg.records).resolve(), Path(cfg.output).resolve()
    if output.is_relative_to(folder) or folder.is_relative_to(output):
        raise ConfigError(f"output: {output} and records={folder} overlap; give a folder of its own")
    if isinstance(cfg.at_once, bool) or not isinstance(cfg.at_once, int) or cfg.at_once < 1:
        raise ConfigError(f"at_once: {cfg.at_once!r} must be a whole number of at least 1")


def groups(records: Iterable[Record], artifacts: Path) -> list[list[Record]]:
    """Records whose models can be timed in turn: of the same fine-tuned model and the same settings.

    Args:
        records: of any study.
        artifacts: the folder of the artifacts, all of which are looked for.

    Raises:
        ModelError: naming the first of the artifacts that are damaged or gone.
    """
    from powerbert.base.files import is_file_name
    from powerbert.store.artifacts import Artifact

    together: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        for name in (_final(record), record["baseline"]["artifact"]):
            if not is_file_name(name):
                raise ModelError(f"a record names the artifact {name!r}, which is no name of a folder")
            try:
                Artifact.load(artifacts / name)
            except ModelError as error:
                raise ModelError(
                    f"{error}. Only a point whose artifacts are in paths.artifacts={artifacts} can be timed"
                ) from error
        settings = record["config"]["measure"]
        together[record["baseline"]["artifact"], repr(sorted(settings.items()))].append(record)
    return list(together.values())


def timed_together(records: Sequence[Record], artifacts: Path, cache: Path) -> list[Record]:
    """Times the models of records in turn, with the fine-tuned model that they are compared with.

    Args:
        records: one of `groups`, or a part of it.
        artifacts: the folder of the artifacts.
        cache: folder for data that has to be fetched.

    Returns:
        The records with new `flops`, `latency` and `environment`, and with `retimed`: when, and how many
        models took turns.

    Raises:
        DataError: if the data set is not what the models were trained on.
        UserError: if it cannot be had.
    """
    from hydra.utils import instantiate

    from powerbert.base.device import default_device
    from powerbert.data import PaddingCollator
    from powerbert.measure import LatencySettings, count_flops, describe_environment, measure_latencies
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
            f"dataset '{subject.task.name}' is not the one that {finetuned.path} was trained on: its content "
            "has changed since"
        )
    length, task = subject.max_length, subject.task
    models: list[Any] = [load_model(artifacts / _final(record)) for record in records]
    latencies = measure_latencies(
        [model.to(device) for model in models],
        subject.model,
        subject.encoded,
        max_length=length,
        collate=PaddingCollator(subject.predictor.tokenizer, task),
        settings=LatencySettings(**settings),
    )
    baseline = count_flops(subject.model, length, num_choices=task.num_choices)
    retimed = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "models": len(models) + 1}
    timed = []
    for record, model, latency in zip(records, models, latencies, strict=True):
        own = count_flops(model, length, num_choices=task.num_choices)
        flops = {"model": own, "baseline": baseline, "ratio": baseline / own}
        environment = describe_environment(device)
        timed.append(
            record | {"flops": flops, "latency": latency, "environment": environment, "retimed": retimed}
        )
    return timed


def _final(record: Record) -> str:
    """The name of the artifact that a record is about, which is the last of its stages."""
    return list(record["artifacts"].values())[-1]


def dataset_settings(manifest: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """The settings of the data that an artifact was trained on, which may lie elsewhere here.

    Args:
        manifest: of the artifact.
        cache: folder for data that has to be fetched.

    Returns:
        The node `dataset`, its places those of `conf/dataset` where a yaml there has its name.
    """
    from powerbert.data.source import SOURCE_PLACES, packaged_source

    settings: dict[str, Any] = manifest["config"]["dataset"]
    named = {key: value for key, value in settings["source"].items() if key not in SOURCE_PLACES}
    here = packaged_source(settings["name"], cache)
    return settings | {"source": here | named if here else settings["source"]}


if __name__ == "__main__":
    entry_point(retime, "retime")
