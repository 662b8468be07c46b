"""From a trained model to a self-contained folder of exported files, each with its record."""

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text

from powerbert.base.checks import check_choice, check_flag, check_number, check_whole
from powerbert.base.errors import ConfigError, ModelError
from powerbert.base.files import write_synced
from powerbert.export.check import (
    agreement,
    batch_logits,
    made_up_batches,
    try_files,
    within_tolerance,
)
from powerbert.export.formats import FORMATS
from powerbert.export.graph import shares_of
from powerbert.export.host import host_config
from powerbert.export.onnx_file import onnx_versions
from powerbert.export.table import FileRecord, records_table
from powerbert.measure import LatencySettings, describe_environment
from powerbert.measure.evaluation import thresholds_of
from powerbert.models import quiet_transformers, retention_of
from powerbert.predict.subject import Subject

EXPORT_VERSION = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportSettings:
    """What to export and how to check it: the keys of `conf/export.yaml`, where each is explained.

    Attributes:
        precisions: The values of `precision`.
        exports: Parent of the folder of the files if `output` is None.
    """

    artifact: str
    format: str = "onnx"
    precisions: tuple[str, ...] = ("float32",)
    output: Path | None = None
    exports: Path = Path("runs/exports")
    check: str | None = None
    dataset: Mapping[str, Any] | None = None
    limit: int | None = None
    seed: int = 42
    batch_size: int = 32
    cls_alone: bool = False
    speed: float | None = None
    threads: int | None = None
    measure: LatencySettings = field(default_factory=LatencySettings)

    def __post_init__(self) -> None:
        """Validate the settings before anything loads; a ConfigError names the key."""
        check_choice("format", self.format, FORMATS)
        if not self.precisions:
            raise ConfigError("precision: give one, precision=int8, or several, precision=[float32,int8]")
        if self.check is not None:
            check_choice("check", self.check, ("train", "dev", "test"))
        check_whole("batch_size", self.batch_size)
        check_flag("cls_alone", self.cls_alone)
        if self.speed is not None:
            check_number("speed", self.speed, strict=True)
        check_whole("threads", self.threads, optional=True)
        FORMATS[self.format].check(self.precisions)


def run(settings: ExportSettings) -> list[FileRecord]:
    """Write the files; print a table of the results and code that uses the last file.

    Returns the record of each precision.

    Raises:
        ModelError: If the folder holds no model, or a file does not compute what the model does.
        DataError: If the rows of `check` cannot be read.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    subject = Subject(
        settings.artifact,
        settings.dataset,
        settings.check,
        settings.limit,
        settings.seed,
        settings.batch_size,
        settings.cls_alone,
        settings.speed,
    )
    output = output_folder(settings, subject.folder)
    subject.model.cpu()
    if settings.check is not None:
        subject.check_labelled()  # before the export, which takes long
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        records = _export(subject, settings, Path(scratch))
        output.mkdir(exist_ok=True)
        for file in Path(scratch).iterdir():
            os.replace(file, output / file.name)
    console = Console()
    console.print(records_table(records))
    path = output / records[-1]["file"]
    console.print(Text(f"{output} is complete in itself. To use {path.name}:\n"), soft_wrap=True)
    usage = FORMATS[settings.format].usage.format(path=str(path), folder=str(output))
    if (speeds := records[-1].get("speeds")) is not None:
        usage += f"# shares, one of the file's inputs, set the speed; {path.name}.json has those of each:\n"
        usage += f"# {speeds[-1]['shares']} for {speeds[-1]['speed']:g}\n"
    print(usage)
    return records


def output_folder(settings: ExportSettings, artifact: Path) -> Path:
    """Return the folder of the files; a ConfigError unless they can go there."""
    name = artifact.resolve().name
    output = settings.output or settings.exports / name
    if output.is_file():
        raise ConfigError(f"output: {output} is a file; give a folder")
    if output.resolve() == artifact.resolve():
        raise ConfigError(f"output: {output} is the artifact itself; give another folder, or one within it")
    for path in output.glob("model*.json"):
        other = json.loads(path.read_text(encoding="utf-8")).get("artifact")
        if other != name:
            raise ConfigError(f"output: {output} holds exports of {other}; give another folder")
    return output


def _export(subject: Subject, settings: ExportSettings, folder: Path) -> list[FileRecord]:
    """Write the files, the tokenizer, the host's config and the records to the folder."""
    format = FORMATS[settings.format]
    model: Any = subject.model
    predictor = subject.predictor
    tokenizer, task, max_length = predictor.tokenizer, predictor.task, predictor.max_length
    token_types = "token_type_ids" in tokenizer.model_input_names
    token_types = token_types and getattr(model.config, "type_vocab_size", 0) > 0
    log.info("exporting %s", subject.folder)
    paths = {precision: folder / format.file_name(precision) for precision in settings.precisions}
    speeds = getattr(model, "speeds", ()) if settings.speed is None else ()
    if speeds:
        log.info("one graph for the speeds %s: this takes some minutes", ", ".join(f"{s:g}" for s in speeds))
    format.write(model, paths, token_type_ids=token_types, max_length=max_length, any_speed=bool(speeds))
    tokenizer.model_max_length = max_length
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
        host_config(model).save_pretrained(folder)

    files = {precision: format.load(path, torch.get_num_threads()) for precision, path in paths.items()}
    names = list(next(iter(files.values())).names)
    words = [name for name in names if name != "shares"]
    batches = made_up_batches(tokenizer, task, words, max_length)
    found_at: list[list[dict[str, Any]]] = []  # for each speed, of each file
    for speed in speeds or (None,):
        given: dict[str, Any] = {}
        if speed is not None:
            model.set_speed(speed)
            shares = shares_of(model, speed)
            given = {"speed": speed, "shares": [round(share, 4) for share in shares.tolist()]}
            if (least := thresholds_of(model)) is not None:
                given["label_thresholds"] = least
            for file in files.values():
                file.shares = shares
        expected = batch_logits(model, batches)
        checked = []
        for precision, file in files.items():
            found = agreement(batch_logits(file, batches), expected, task, thresholds_of(model))
            if precision == "float32" and not within_tolerance(found):
                raise ModelError(
                    f"{subject.folder}: nothing was written, because the exported model's logits differ for "
                    f"{found['beyond_tolerance']} of {found['inputs']} made-up inputs (by up to "
                    f"{found['largest_difference']:.1e}); please report it with this folder's config.json"
                )
            checked.append(found)
        if settings.check is not None:
            checked = try_files(subject, list(files.values()), settings.measure)
        found_at.append([given | found for found in checked])

    records = []
    for (precision, path), of_file in zip(paths.items(), zip(*found_at, strict=True), strict=True):
        differing = sum(found["labels_differing"] or 0 for found in of_file)
        if precision == "float32" and settings.check is not None and differing:
            log.warning("%s: %d labels differ", path.name, differing)
        record = {
            "export_version": EXPORT_VERSION,
            "artifact": subject.folder.resolve().name,
            "format": format.name,
            "input_names": names,
            "max_length": max_length,
            **retention_of(model.config),
            "file": path.name,
            "bytes": path.stat().st_size,
            "precision": precision,
            "split": settings.check,
            "metric": None,
            "latency": None,
            **(of_file[0] if not speeds else {"speeds": list(of_file)}),
            "environment": describe_environment("cpu") | onnx_versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_synced(folder / f"{path.name}.json", record)
        records.append(record)
    return records
