"""From a trained model to a folder of exported files that is usable alone, each with its record."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from rich.text import Text

from powerbert.base.errors import ConfigError, ModelError
from powerbert.base.files import write_synced
from powerbert.export.check import agreement, batch_logits, made_up_batches
from powerbert.export.formats import FORMATS, Format
from powerbert.export.graph import input_names
from powerbert.export.host import host_config
from powerbert.export.record import Record, build_record, records_table
from powerbert.export.trial import Trial
from powerbert.models import quiet_transformers
from powerbert.predict.subject import Subject

log = logging.getLogger(__name__)

SPLITS = ("train", "dev", "test")


def run(cfg: DictConfig) -> list[Record]:
    """Writes the files that the configuration asks for, and prints what came out and how to use them.

    Args:
        cfg: The composed configuration of `conf/export.yaml`.

    Returns:
        The records, one for each precision.

    Raises:
        ConfigError: If a setting cannot be meant, or packages are missing.
        ModelError: If the folder holds no model, or a file does not compute what the model does.
        DataError: If the rows of `check` cannot be had.
    """
    format, precisions = check(cfg)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    subject = Subject(cfg.artifact, cfg.dataset, cfg.check, cfg.limit, cfg.seed, cfg.batch_size)
    output = output_folder(cfg, subject.folder)
    subject.model.cpu()
    trial = None if cfg.check is None else Trial(subject, instantiate(cfg.measure))
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        records = _export(subject, format, precisions, Path(scratch), trial)
        output.mkdir(exist_ok=True)
        for file in Path(scratch).iterdir():
            os.replace(file, output / file.name)
    console = Console()
    console.print(records_table(records))
    path = output / records[-1]["file"]
    console.print(Text(f"{output} is complete in itself. To use {path.name}:\n"), soft_wrap=True)
    print(format.usage.format(path=str(path), folder=str(output)))
    return records


def check(cfg: DictConfig) -> tuple[Format, list[str]]:
    """Refuses what cannot be meant, before anything is loaded.

    Args:
        cfg: The composed configuration of `conf/export.yaml`.

    Returns:
        The format, and the precisions without repetition.

    Raises:
        ConfigError: Naming the key.
    """
    if not isinstance(cfg.artifact, str) or not cfg.artifact:
        raise ConfigError("artifact: give the folder of one trained model, artifact=<folder>")
    if cfg.format not in FORMATS:
        raise ConfigError(f"format: '{cfg.format}' is unknown; choose one of {', '.join(FORMATS)}")
    precisions = list(cfg.precision) if isinstance(cfg.precision, ListConfig) else [cfg.precision]
    if not precisions:
        raise ConfigError("precision: give one, precision=int8, or several, precision=[float32,int8]")
    if cfg.check not in (None, *SPLITS):
        raise ConfigError(f"check: '{cfg.check}' is unknown; choose one of {', '.join(SPLITS)}, or null")
    for key, least in (("batch_size", 1), ("threads", 1)):
        value = cfg[key]
        if key == "threads" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{key}: {value!r} must be a whole number of at least {least}")
    format = FORMATS[cfg.format]
    format.check(precisions)
    return format, list(dict.fromkeys(precisions))


def output_folder(cfg: DictConfig, artifact: Path) -> Path:
    """Where the files go: as told, or a folder named after the artifact.

    Raises:
        ConfigError: If it is a file, the artifact itself, or holds exports of another model.
    """
    name = artifact.resolve().name
    output = Path(cfg.output or Path(cfg.paths.runs) / "exports" / name)
    if output.is_file():
        raise ConfigError(f"output: {output} is a file; give a folder")
    if output.resolve() == artifact.resolve():
        raise ConfigError(f"output: {output} is the artifact itself; give a folder of its own, or one within")
    for path in output.glob("model*.json"):
        other = json.loads(path.read_text(encoding="utf-8")).get("artifact")
        if other != name:
            raise ConfigError(f"output: {output} holds exports of {other}; give another folder")
    return output


def _export(
    subject: Subject, format: Format, precisions: Sequence[str], folder: Path, trial: Trial | None
) -> list[Record]:
    """Fills the folder."""
    predictor, model = subject.predictor, subject.model
    tokenizer, max_length = predictor.tokenizer, predictor.max_length
    token_types = getattr(model.config, "type_vocab_size", 0) > 0
    names = input_names("token_type_ids" in tokenizer.model_input_names and token_types)
    log.info("exporting %s", subject.folder)
    paths = format.write(
        model, folder, precisions, token_type_ids="token_type_ids" in names, max_length=max_length
    )
    tokenizer.model_max_length = max_length
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
        host_config(model).save_pretrained(folder)
    exported = {
        "artifact": subject.folder.resolve().name,
        "input_names": names,
        "max_length": max_length,
        "retention_configuration": getattr(model.config, "retention_configuration", None),
    }
    batches = made_up_batches(tokenizer, predictor.task, names, max_length)
    expected = batch_logits(model, batches)
    records = []
    for precision, path in paths.items():
        loaded = format.load(path, torch.get_num_threads())
        made_up = agreement(batch_logits(loaded, batches), expected, predictor.task.is_regression)
        if precision == "float32" and not made_up.within_tolerance:
            raise ModelError(
                f"{subject.folder}: nothing was written, since the exported model gives other logits to "
                f"{made_up.beyond_tolerance} of {made_up.inputs} made-up inputs (by up to "
                f"{made_up.largest_difference:.1e}); please report it with this folder's config.json"
            )
        outcome = None if trial is None else trial.of(loaded)
        if precision == "float32" and outcome is not None and outcome.agreement.labels_differing:
            log.warning("%s: %d labels differ", path.name, outcome.agreement.labels_differing)
        record = build_record(exported, path, format.name, precision, made_up, trial, outcome)
        write_synced(folder / f"{path.name}.json", record)
        records.append(record)
    return records
