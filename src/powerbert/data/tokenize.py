"""Texts -> word pieces, cached beside the texts; the length rule."""

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

from powerbert.base.errors import DataError
from powerbert.base.files import content_hash
from powerbert.data.task import Task

log = logging.getLogger(__name__)

Columns = dict[str, list[Any]]
Text = str | Sequence[Any]

QUERY = "query_id"
"""Column of a reranker's tokenised rows: a number for each query's text, by which rows are grouped."""

LENGTHS = (64, 128, 256, 512)
PERCENT_LONGER = 1


def tokenize(dataset: Dataset, task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Tokenise every row and truncate inputs longer than `max_length` (of a pair the longer text first).

    Of more than two text columns the second and further ones are joined by the tokenizer's separator.

    Args:
        tokenizer: Its own settings of truncation and padding are ignored.
        max_length: l, in word pieces, special tokens included.

    Returns:
        In place of the texts the tokenizer's columns (`input_ids`, `attention_mask`, ...), each row a list,
        or for multiple choice one list per choice; and `length`, the word pieces before truncation (of the
        longest choice). `label` stays, and for reranking there is `QUERY`. The cache key is the rows, the
        tokenizer and `max_length`.
    """
    count = task.num_choices

    def call(first: list[str], second: list[str] | None, **truncation: Any) -> Columns:
        return dict(tokenizer(first, second, padding=False, verbose=False, **truncation))

    def encode(batch: Columns) -> Columns:
        first, second = _sequences(batch, task, str(tokenizer.sep_token or ""))
        encoded = call(first, second, truncation=False)
        lengths = [len(pieces) for pieces in encoded["input_ids"]]
        longer = [index for index, length in enumerate(lengths) if length > max_length]
        if longer:
            pairs = None if second is None else [second[index] for index in longer]
            texts = [first[index] for index in longer]
            truncated = call(texts, pairs, truncation="longest_first", max_length=max_length)
            for name, values in truncated.items():
                for index, value in zip(longer, values, strict=True):
                    encoded[name][index] = value
        starts = range(0, len(lengths), count)
        if task.is_multiple_choice:
            encoded = {
                name: [values[start : start + count] for start in starts] for name, values in encoded.items()
            }
        if task.is_reranking:
            encoded[QUERY] = [int(hashlib.sha256(query.encode()).hexdigest()[:15], 16) for query in first]
        return {**encoded, "length": [max(lengths[start : start + count]) for start in starts]}

    key = {
        "rows": dataset._fingerprint,
        "columns": task.text_columns,
        "choices": count,
        "tokenizer": _fingerprint(tokenizer),
        "max_length": max_length,
        **({"kind": task.kind} if task.is_reranking else {}),
    }
    return dataset.map(
        encode,
        batched=True,
        remove_columns=list(task.text_columns),
        new_fingerprint=content_hash(key),
        desc="Tokenising",
    )


def row_lengths(dataset: Dataset) -> np.ndarray:
    """Return the column `length` of tokenised rows: shape [rows], word pieces before truncation."""
    column = dataset.select_columns("length").with_format("arrow")[:]["length"]  # memory-mapped, not copied
    return np.concatenate([np.asarray(chunk, np.int32) for chunk in column.chunks] or [np.empty(0, np.int32)])


def choose_max_length(lengths: Sequence[int] | np.ndarray, longest: int | None = None) -> int:
    """Choose the length l beyond which inputs are truncated, by the rule of section 3.1.

    l' is the smallest length such that at most 1% of the training inputs are longer; l is the value of
    `LENGTHS` closest to l', of two equally close the larger, which truncates less.

    Args:
        lengths: Word pieces of each training input, special tokens included, not truncated.
        longest: The model's limit; larger values of `LENGTHS` are not considered. If all exceed it, l is
            `longest`.
    """
    counted = np.sort(np.asarray(lengths))
    may_be_longer = len(counted) * PERCENT_LONGER // 100
    covering = int(counted[len(counted) - 1 - may_be_longer])
    fitting = [length for length in LENGTHS if longest is None or length <= longest]
    chosen = min(fitting or [longest or LENGTHS[0]], key=lambda length: (abs(length - covering), -length))
    log.info(
        "max_length=auto: at most %d%% of the training inputs are longer than %d word pieces; chose %d",
        PERCENT_LONGER,
        covering,
        chosen,
    )
    return chosen


def load_texts(texts: Sequence[Text], task: Task) -> Dataset:
    """Make unlabelled rows of texts, pairs or, for multiple choice, texts with a list of choices.

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


def _sequences(batch: Columns, task: Task, separator: str) -> tuple[list[str], list[str] | None]:
    """Return the first and the second texts of the batch's sequences, choices one after another."""
    first, *rest = (batch[column] for column in task.text_columns)
    if task.is_multiple_choice:
        repeated = [text for text in first for _ in range(task.num_choices)]
        return repeated, [choice for choices in rest[0] for choice in choices]
    if len(rest) > 1:
        return first, [f" {separator} ".join(texts) for texts in zip(*rest, strict=True)]
    return first, rest[0] if rest else None


def _fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash what a tokenizer does to a text; its pickle would change once it has truncated something."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return Hasher.hash((type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.init_kwargs))
    settings = json.loads(backend.to_str())
    return Hasher.hash(
        {key: value for key, value in settings.items() if key not in ("truncation", "padding")}
    )
