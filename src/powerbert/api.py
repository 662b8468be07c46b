"""Train from Python: `powerbert.train(model, data, method="combined", target_speedup=3)`."""

import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from powerbert.base.checks import suggestion
from powerbert.base.cli import CONFIG_FOLDER, as_overrides, composed, plain
from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import folder_by_content
from powerbert.base.interrupt import Interrupted, interruptible
from powerbert.data import PaddingCollator, tokenize
from powerbert.data.folder import FolderSource
from powerbert.data.memory import Rows, as_splits, classes_of, write_splits
from powerbert.data.task import AUTO
from powerbert.measure.evaluation import predict_logits, task_metrics, thresholds_of
from powerbert.models.checkpoint import fingerprint
from powerbert.models.loading import quiet_transformers
from powerbert.predict.predictor import Predictor
from powerbert.predict.subject import Subject
from powerbert.report.summary import print_summary
from powerbert.run.checks import BOOKKEEPING, check
from powerbert.run.pipeline import run
from powerbert.run.settings import resolve

SPLIT = (0.8, 0.1, 0.1)
"""How rows in memory without a dev split are divided into train, dev and test."""


@dataclass(frozen=True, repr=False)
class Result:
    """A trained model and its record; printed, it is the table that the command prints.

    Attributes:
        record: Metric, operations and times of the model and of the fine-tuned one, as in the record's file.
        artifact: The folder of the final model.
    """

    record: Mapping[str, Any]
    artifact: Path

    def __repr__(self) -> str:
        file = io.StringIO()
        console = Console(file=file, width=100, force_jupyter=False, force_terminal=False)
        print_summary(dict(self.record), console=console)
        return file.getvalue().rstrip()

    @property
    def score(self) -> float | None:
        """The metric on the evaluation split; None if it was not finite, as below."""
        return self.record["metric"]["value"]

    @property
    def change(self) -> float | None:
        """The score less that of the fine-tuned model."""
        baseline = self.record["baseline"]["value"]
        return None if self.score is None or baseline is None else self.score - baseline

    @property
    def speedup(self) -> float | None:
        """How many times faster than the fine-tuned model, each batch padded to its longest input."""
        return self.record["latency"]["dynamic"]["speedup"]

    @cached_property
    def predictor(self) -> Predictor:
        """The model with its tokenizer and task; of a model with several speeds, at the record's."""
        return Predictor(self.artifact, speed=self.record["knob"].get("speed"))

    @property
    def model(self) -> PreTrainedModel:
        """The model in evaluation mode, on the accelerator if there is one."""
        return self.predictor.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return self.predictor.tokenizer

    def predict(self, texts: Iterable[Any]) -> list[dict[str, Any]]:
        """Label texts, or tuples of the texts of an input, as `Predictor` does."""
        return self.predictor([(text,) if isinstance(text, str) else tuple(text) for text in texts])

    def evaluate(self, data: Rows | str | Path | None = None, *, split: str | None = None) -> dict[str, Any]:
        """Compute the metrics of the task.

        Args:
            data: Labelled rows, or a file of them, with the columns of the training data; None for these.
            split: Of the training data; None for the one that the record reports.

        Raises:
            DataError: If rows are missing, invalid or have no labels.
        """
        subject = Subject(str(self.artifact), split=split)
        rows = subject.rows if data is None else self._read(data, subject.settings)
        if "label" not in rows.column_names:
            raise DataError("data: the rows have no labels to evaluate with")
        predictor, task = self.predictor, self.predictor.task
        encoded = tokenize(rows, task, predictor.tokenizer, predictor.max_length)
        collate = PaddingCollator(predictor.tokenizer, task)
        logits = predict_logits(predictor.model, encoded, collate, predictor.batch_size)
        return task_metrics(logits, encoded, task, thresholds_of(predictor.model))

    def _read(self, data: Rows | str | Path, settings: Mapping[str, Any]) -> Any:
        task, trained_on, cache = self.predictor.task, settings["source"], Path(settings["source"]["cache"])
        columns = trained_on.get("label_columns")
        label = str(trained_on.get("label_column", "label"))
        if isinstance(data, Rows):
            folder = write_splits({"dev": data}, task.text_columns, columns or [label], cache)
            data = folder / "dev.parquet"
        elif not isinstance(data, str | Path):
            raise ConfigError(f"data: give a DataFrame, a Dataset or a file, not a {type(data).__name__}")
        source = FolderSource(
            data, task.text_columns, task.label_names, cache, label, label_columns=columns, kind=task.kind
        )
        return source.read("dev", [Path(data)])

    def save_pretrained(self, folder: str | Path) -> None:
        """Copy the artifact: model, tokenizer, modeling code, model card and manifest."""
        shutil.copytree(self.artifact, folder, dirs_exist_ok=True)


def train(
    model: str | Path | PreTrainedModel,
    data: str | Path | Rows | Mapping[str, Rows],
    *,
    method: str = "combined",
    target_speedup: float | None = None,
    seed: int = 42,
    tokenizer: PreTrainedTokenizerBase | None = None,
    text_columns: str | Sequence[str] | None = None,
    label_column: str | None = None,
    label_names: Sequence[str] | str | None = AUTO,
    kind: str | None = None,
    split: Sequence[float] | None = None,
    **settings: Any,
) -> Result:
    """Fine-tune a model, make it faster by a method, and measure what that costs.

    This is `python -m powerbert.train` with the same settings: it reuses the command's artifacts and record,
    and the command reuses those made here; so a second call with the same arguments returns at once.

    Args:
        model: A name of `conf/model`, the folder or hub id of a checkpoint or classifier, or a loaded model.
        data: A name of `conf/dataset`, a folder or file as of `dataset=folder`, a DataFrame, a `Dataset`, or
            several by split, such as a `DatasetDict`. Rows in memory are written below `paths.cache`, into a
            folder named by their content.
        target_speedup: How much faster `combined` is to make the model; None for 2.
        tokenizer: Of a loaded model.
        text_columns: One column, or two for pairs; None for `text`.
        label_column: None for `label`.
        label_names: The classes; `auto` for those of train, where a column of floats in memory is a
            regression; None for regression. Not used for reranking.
        kind: Of the task, as `dataset.kind`; None for classification or regression.
        split: Shares of train, dev and test. None divides rows in memory that have no dev by `SPLIT`.
        settings: Any key of the command, nested or with dots: `trainer={"max_epochs": 1}`,
            `**{"stages.search.max_epochs": 1, "lambda": 0.001}`.

    Raises:
        UserError: With the command's message; a ConfigError names the setting that is unknown or invalid.
    """
    splits = as_splits(data)
    if isinstance(text_columns, str):
        text_columns = [text_columns]
    given: dict[str, Any] = {"method": method, "seed": seed}
    if target_speedup is not None:
        given["target_speedup"] = target_speedup
    given |= _model_settings(model, tokenizer) | _dataset(data, splits)
    labels = {"text_columns": text_columns, "kind": kind, "source.label_column": label_column, "split": split}
    if splits is not None or given["dataset"] == "folder":
        if kind == "reranking" and label_names == AUTO:
            label_names = None
        elif splits is not None and label_names == AUTO and kind is None:
            label_names = classes_of(splits["train"], label_column or "label")
        if splits is not None and "dev" not in splits and split is None:
            labels["split"] = SPLIT
    if given["dataset"] == "folder" or label_names != AUTO:
        given["dataset.label_names"] = label_names
    given |= {f"dataset.{key}": value for key, value in labels.items() if value is not None}
    overrides = [*as_overrides(given), *as_overrides(settings)]
    try:
        with composed("train", overrides, BOOKKEEPING) as cfg, interruptible():
            if cfg.stage != "retrain":
                raise ConfigError("stage: from Python all stages are run; remove it")
            cfg.paths.output = f"{cfg.paths.logs}/{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
            check(cfg)
            cache = Path(cfg.paths.cache)
            if isinstance(model, PreTrainedModel):
                cfg.model.path = str(_save(model, tokenizer, cache))
            if splits is not None:
                columns = cfg.dataset.label_columns or [cfg.dataset.source.label_column]
                folder = write_splits(splits, plain(cfg.dataset.text_columns), plain(columns), cache)
                cfg.dataset.source.path = str(folder)
            resolved = resolve(cfg)
            record = run(resolved)
    except Interrupted as stopped:
        raise KeyboardInterrupt(str(stopped)) from None
    assert record is not None
    return Result(record, resolved.artifacts / record["artifacts"]["retrain"])


def _is_choice(group: str, value: object) -> bool:
    return isinstance(value, str) and (CONFIG_FOLDER / group / f"{value}.yaml").is_file()


def _model_settings(
    model: str | Path | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None
) -> dict[str, Any]:
    """Return the settings that name a model; the folder of a loaded one is not known yet."""
    if isinstance(model, PreTrainedModel):
        if tokenizer is None:
            raise ConfigError("tokenizer: a loaded model needs its tokenizer")
        return {"model.name": Path(model.name_or_path or "").name or model.config.model_type}
    if tokenizer is not None:
        raise ConfigError("tokenizer: only a loaded model needs one; a folder has its own")
    if _is_choice("model", model):
        return {"model": model}
    path = Path(model).expanduser()
    return {"model.path": str(path), "model.name": path.resolve().name if path.is_dir() else path.name}


def _dataset(data: object, splits: Mapping[str, Rows] | None) -> dict[str, Any]:
    """Return the settings that name a dataset; the folder of rows in memory is not known yet."""
    if splits is not None:
        return {"dataset": "folder"}
    if _is_choice("dataset", data):
        return {"dataset": data}
    if not isinstance(data, str | Path):
        raise ConfigError(
            "data: give a DataFrame, a Dataset, several of them by split, a folder, a file or a name of "
            f"conf/dataset, not a {type(data).__name__}"
        )
    if not Path(data).expanduser().exists():
        names = [path.stem for path in (CONFIG_FOLDER / "dataset").glob("*.yaml")]
        raise ConfigError(
            f"data: {data} is neither a file, a folder nor a dataset's name{suggestion(str(data), names)}"
        )
    return {"dataset": "folder", "dataset.source.path": data}


def _save(model: PreTrainedModel, tokenizer: Any, cache: Path) -> Path:
    """Save a loaded model into a folder of `cache` that is named by its content."""

    def write(folder: Path) -> None:
        with quiet_transformers():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return folder_by_content(cache / "models", write, lambda folder: fingerprint(folder)[:16])
