"""Texts -> word pieces, cached beside the texts; the length rule; texts to be labelled."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.readers import MalformedRowError, read_rows
from powerbert.data.task import Task

Columns = dict[str, list[Any]]
Text = str | Sequence[Any]

LENGTHS = (64, 128, 256, 512)
PERCENT_LONGER = 1


def tokenize(dataset: Dataset, task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Tokenise every row and truncate inputs longer than `max_length` (of a pair the longer text first).

    Args:
        tokenizer: Its own settings of truncation and padding are ignored.
        max_length: l, in word pieces, special tokens included.

    Returns:
        In place of the texts the tokenizer's columns (`input_ids`, `attention_mask`, ...), each row a list,
        or for multiple choice one list per choice; and `length`, the word pieces before truncation (of the
        longest choice). `label` stays. The cache key is the rows, the tokenizer and `max_length`.
    """

    def encode(batch: Columns) -> Columns:
        first, second = _sequences(batch, task)
        encoded = _call(tokenizer, first, second, truncation=False)
        lengths = [len(pieces) for pieces in encoded["input_ids"]]
        longer = [index for index, length in enumerate(lengths) if length > max_length]
        if longer:
            pairs = None if second is None else [second[index] for index in longer]
            texts = [first[index] for index in longer]
            truncated = _call(tokenizer, texts, pairs, truncation="longest_first", max_length=max_length)
            for name, values in truncated.items():
                for index, value in zip(longer, values, strict=True):
                    encoded[name][index] = value
        nested = {name: _nest(values, task) for name, values in encoded.items()}
        return {**nested, "length": _longest(lengths, task)}

    return _map(encode, dataset, task, tokenizer, {"max_length": max_length})


def count_word_pieces(dataset: Dataset, task: Task, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Count the word pieces of every row, for the length rule.

    Returns:
        Shape [rows]: word pieces without truncation, special tokens included, of the longest choice.
    """

    def count(batch: Columns) -> Columns:
        encoded = _call(tokenizer, *_sequences(batch, task), truncation=False)
        return {"length": _longest([len(pieces) for pieces in encoded["input_ids"]], task)}

    counted = _map(count, dataset, task, tokenizer, {"max_length": None})
    return row_lengths(counted)


@dataclass(frozen=True)
class LengthChoice:
    """The result of the length rule.

    Attributes:
        max_length: l, the value of `LENGTHS` closest to `covering`.
        covering: l', the smallest length such that at most 1% of the inputs are longer.
        truncated: The share of the inputs that are longer than l.
    """

    max_length: int
    covering: int
    truncated: float


def choose_max_length(lengths: Sequence[int] | np.ndarray, longest: int | None = None) -> LengthChoice:
    """Choose the length beyond which inputs are truncated, by the rule of section 3.1.

    Args:
        lengths: Word pieces of each training input, special tokens included, not truncated.
        longest: The model's limit; larger values of `LENGTHS` are not considered.

    Returns:
        The choice. Of two values equally close to l' the larger is taken, which truncates less. If all of
        `LENGTHS` exceed the model's limit, l is `longest`.
    """
    counted = np.sort(np.asarray(lengths))
    may_be_longer = len(counted) * PERCENT_LONGER // 100
    covering = int(counted[len(counted) - 1 - may_be_longer])
    fitting = [length for length in LENGTHS if longest is None or length <= longest]
    choices = fitting or [longest or LENGTHS[0]]
    max_length = min(choices, key=lambda choice: (abs(choice - covering), -choice))
    return LengthChoice(max_length, covering, float(np.mean(counted > max_length)))


def row_lengths(dataset: Dataset) -> np.ndarray:
    """Return the column `length` of tokenised rows.

    Returns:
        Shape [rows]: word pieces before truncation, of the longest choice.
    """
    column = dataset.select_columns("length").with_format("arrow")[:]["length"]  # memory-mapped, not copied
    return np.concatenate([np.asarray(chunk, np.int32) for chunk in column.chunks] or [np.empty(0, np.int32)])


def read_texts(path: Path, task: Task) -> Iterator[tuple[Any, ...]]:
    """Read the inputs of a file, for prediction.

    Args:
        path: `.jsonl`, `.csv`, `.tsv` or `.parquet` with the task's text columns; `.txt` holds one text per
            line, the texts of a pair separated by a tab.

    Yields:
        The texts of each row; for multiple choice a text and the list of its choices.

    Raises:
        DataError: Naming file and row.
    """
    columns = task.text_columns
    has_header = not path.name.removesuffix(".gz").endswith(".txt")
    for row in read_rows(path, columns, header=None if has_header else columns):
        if isinstance(row, MalformedRowError):
            raise row
        if task.is_multiple_choice:
            yield row.text(columns[0]), row.texts(columns[1], task.num_choices)
        else:
            yield tuple(row.text(column) for column in columns)


def load_texts(texts: Sequence[Text], task: Task) -> Dataset:
    """Make unlabelled rows of texts in memory, in order, for prediction.

    Args:
        texts: Each a text, or for tasks with two text columns a pair of them (a text and a list of choices
            for multiple choice).

    Raises:
        DataError: Naming the first invalid text.
    """
    columns: dict[str, list[Any]] = {name: [] for name in task.text_columns}
    for number, text in enumerate(texts, start=1):
        fields = [text] if isinstance(text, str) else list(text)
        if len(fields) != len(columns):
            raise DataError(
                f"text {number}: has {len(fields)} part(s); '{task.name}' takes {len(columns)} "
                f"({', '.join(task.text_columns)})"
            )
        if task.is_multiple_choice and len(fields[1]) != task.num_choices:
            raise DataError(f"text {number}: has {len(fields[1])} choices instead of {task.num_choices}")
        for column, value in zip(columns.values(), fields, strict=True):
            column.append(value)
    return Dataset.from_dict(columns)


def _sequences(batch: Columns, task: Task) -> tuple[list[str], list[str] | None]:
    """Return the first and the second texts of the batch's sequences, choices one after another."""
    first, *rest = (batch[column] for column in task.text_columns)
    if task.is_multiple_choice:
        repeated = [text for text in first for _ in range(task.num_choices)]
        return repeated, [choice for choices in rest[0] for choice in choices]
    return first, rest[0] if rest else None


def _call(
    tokenizer: PreTrainedTokenizerBase, first: list[str], second: list[str] | None, **truncation: Any
) -> Columns:
    return dict(tokenizer(first, second, padding=False, verbose=False, **truncation))


def _nest(values: list[Any], task: Task) -> list[Any]:
    if not task.is_multiple_choice:
        return values
    return [values[start : start + task.num_choices] for start in range(0, len(values), task.num_choices)]


def _longest(lengths: list[int], task: Task) -> list[int]:
    return [max(choices) for choices in _nest(lengths, task)] if task.is_multiple_choice else lengths


def _map(
    function: Callable[[Columns], Columns],
    dataset: Dataset,
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    settings: dict[str, Any],
) -> Dataset:
    key = {
        "rows": dataset._fingerprint,
        "columns": task.text_columns,
        "choices": task.num_choices,
        "tokenizer": _fingerprint(tokenizer),
        **settings,
    }
    return dataset.map(
        function,
        batched=True,
        remove_columns=list(task.text_columns),
        new_fingerprint=content_hash(key),
        desc="Tokenising",
    )


def _fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash what a tokenizer does to a text; its pickle would change once it has truncated something."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return Hasher.hash((type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.init_kwargs))
    settings = json.loads(backend.to_str())
    return Hasher.hash(
        {key: value for key, value in settings.items() if key not in ("truncation", "padding")}
    )
