"""Labels texts: `python -m powerbert.predict artifact=<folder> text="A joy to watch."`."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig

from powerbert.cli import entry_point, quote_values
from powerbert.errors import ConfigError

Texts = tuple[Any, ...]


class Predictor:
    """A trained classifier or regressor, ready for texts.

    Attributes:
        model: in evaluation mode, on the accelerator if there is one.
        task: which text columns an input has and what the labels are called.
        max_length: word pieces beyond which an input is truncated.
    """

    def __init__(self, folder: Path | str, batch_size: int = 32):
        """Loads an artifact.

        Args:
            folder: an artifact, or a plain Hugging Face classifier of a supported model type.
            batch_size: inputs per forward pass; batches hold inputs of like length.

        Raises:
            ModelError: if the folder holds no such model.
        """
        from powerbert.artifacts import MANIFEST, Artifact
        from powerbert.data import Task
        from powerbert.device import default_device
        from powerbert.models import load_model, load_tokenizer

        folder = Path(folder)
        model: Any = load_model(folder)
        self.model = model.to(default_device())
        self.tokenizer = load_tokenizer(folder)
        self.batch_size = batch_size
        if (folder / MANIFEST).is_file():
            manifest = Artifact.load(folder).manifest
            self.task = Task.from_config(manifest["config"]["dataset"])
            self.max_length = int(manifest["max_length"])
        else:
            config: Any = self.model.config
            self.max_length = min(self.tokenizer.model_max_length, config.max_position_embeddings)
            labels = tuple(config.id2label[index] for index in range(config.num_labels))
            regression = config.num_labels == 1
            self.task = Task(
                folder.name,
                ("text",),
                None if regression else labels,
                "spearman" if regression else "accuracy",
                self.max_length,
            )

    def __call__(self, texts: Iterable[Texts]) -> list[dict[str, Any]]:
        """Labels texts.

        Args:
            texts: each a tuple with the task's text columns in order.

        Returns:
            For each, in order, `label` and `score` (its probability) and `scores` of all labels; for
            regression `value`.

        Raises:
            DataError: naming the text that has not the task's number of parts.
        """
        import torch

        from powerbert.data import (
            LengthSortedSampler,
            PaddingCollator,
            load_texts,
            make_loader,
            row_lengths,
            tokenize,
        )

        given = list(texts)
        if not given:
            return []
        rows = tokenize(load_texts(given, self.task), self.task, self.tokenizer, self.max_length)
        sampler = LengthSortedSampler(row_lengths(rows))
        predictions: list[dict[str, Any]] = [{} for _ in given]
        order = iter(sampler)
        with torch.inference_mode():
            for batch in make_loader(
                rows, PaddingCollator(self.tokenizer, self.task), sampler, self.batch_size
            ):
                logits = self.model(
                    **{key: value.to(self.model.device) for key, value in batch.items()}
                ).logits
                for row in logits.float().cpu():
                    predictions[next(order)] = self._prediction(row)
        return predictions

    def _prediction(self, logits: Any) -> dict[str, Any]:
        if self.task.label_names is None:
            return {"value": logits.item()}
        scores = dict(zip(self.task.label_names, logits.softmax(-1).tolist(), strict=True))
        label = max(scores, key=scores.__getitem__)
        return {"label": label, "score": scores[label], "scores": scores}


def read_texts(path: Path, columns: Sequence[str]) -> Iterator[Texts]:
    """Reads the inputs of a file.

    Args:
        path: `.jsonl`, `.csv`, `.tsv` or `.parquet` with the named columns; `.txt` holds a text a line, the
            texts of a pair separated by a tab.
        columns: the task's text columns.

    Yields:
        A tuple of texts for each row.

    Raises:
        DataError: naming file and row.
    """
    from powerbert.data.readers import MalformedRowError, read_rows

    names = path.name.removesuffix(".gz")
    for row in read_rows(path, columns, header=tuple(columns) if names.endswith(".txt") else None):
        if isinstance(row, MalformedRowError):
            raise row
        for column in columns:
            if not isinstance(row.values[column], str | list):
                raise row.error(f"column '{column}' holds {row.values[column]!r} instead of a text")
        yield tuple(row.values[column] for column in columns)


def predict(cfg: DictConfig) -> None:
    """Labels the text or the file's texts and prints or writes one JSON object a line."""
    import datasets

    if (cfg.text is None) == (cfg.input is None):
        raise ConfigError('text, input: give one of them, text="..." or input=<file>')
    datasets.disable_progress_bars()
    predictor = Predictor(cfg.artifact, cfg.batch_size)
    if cfg.text is not None:
        texts = [tuple(str(text) for text in (cfg.text, cfg.text_pair) if text is not None)]
    else:
        texts = list(read_texts(Path(cfg.input), predictor.task.text_columns))
    predictions = predictor(texts)
    if cfg.output is None:
        _write(sys.stdout, texts, predictions, predictor.task.text_columns)
    else:
        with Path(cfg.output).open("w", encoding="utf-8") as file:
            _write(file, texts, predictions, predictor.task.text_columns)


def _write(
    file: TextIO, texts: list[Texts], predictions: list[dict[str, Any]], columns: Sequence[str]
) -> None:
    for row, prediction in zip(texts, predictions, strict=True):
        file.write(
            json.dumps({**dict(zip(columns, row, strict=True)), **prediction}, ensure_ascii=False) + "\n"
        )


if __name__ == "__main__":
    sys.argv = quote_values({"text", "text_pair", "artifact", "input", "output"}, sys.argv)
    entry_point(predict, "predict")
