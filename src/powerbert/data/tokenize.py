"""Texts -> word pieces, cached beside the texts."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.task import Task

Columns = dict[str, list[Any]]
Text = str | Sequence[Any]


def tokenize(dataset: Dataset, task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Tokenises every row, truncating what is longer than `max_length` (of a pair the longer text first).

    Args:
        dataset: has the task's text columns.
        task: says which those are.
        tokenizer: of the model; its own settings of truncation and padding are not heeded.
        max_length: l, in word pieces, special tokens included.

    Returns:
        In place of the texts the tokenizer's columns (`input_ids`, `attention_mask`, ...), each row a list,
        or for multiple choice one list a choice; and `length`, the word pieces before truncation (of the
        longest choice). `label` stays. The cache depends on rows, tokenizer and `max_length`, nothing else.
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
    """Counts the word pieces of every row, for the length rule.

    Args:
        dataset: has the task's text columns.
        task: says which those are.
        tokenizer: of the model.

    Returns:
        Shape [rows]: word pieces without truncation, special tokens included, of the longest choice.
    """

    def count(batch: Columns) -> Columns:
        encoded = _call(tokenizer, *_sequences(batch, task), truncation=False)
        return {"length": _longest([len(pieces) for pieces in encoded["input_ids"]], task)}

    counted = _map(count, dataset, task, tokenizer, {"max_length": None})
    return row_lengths(counted)


def row_lengths(dataset: Dataset) -> np.ndarray:
    """The column `length` of tokenised rows.

    Args:
        dataset: made by `tokenize`.

    Returns:
        Shape [rows]: word pieces before truncation, of the longest choice.
    """
    column = dataset.select_columns("length").with_format("arrow")[:]["length"]  # where it lies, on disk
    return np.concatenate([np.asarray(chunk, np.int32) for chunk in column.chunks] or [np.empty(0, np.int32)])


def load_texts(texts: Sequence[Text], task: Task) -> Dataset:
    """Makes unlabelled rows of texts that are in memory, for prediction.

    Args:
        texts: each a text, or for tasks with two text columns a pair of them (a text and a list of choices
            for multiple choice).
        task: says how many texts a row has.

    Returns:
        A dataset of the task's text columns, one row for each of `texts`, in order.

    Raises:
        DataError: naming the first text that does not fit.
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
    """The first and the second texts of the batch's sequences, choices one after another."""
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
    """Names a tokenizer by what it does to a text (its pickle changes when it has truncated something)."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return Hasher.hash((type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.init_kwargs))
    settings = json.loads(backend.to_str())
    return Hasher.hash(
        {key: value for key, value in settings.items() if key not in ("truncation", "padding")}
    )
