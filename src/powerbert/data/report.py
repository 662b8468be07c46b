"""What is worth knowing of a dataset before a model learns from it, as lines of the log."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from powerbert.base.errors import shorten
from powerbert.data.task import Task

log = logging.getLogger(__name__)

RARE = 0.1
"""Share of a class below which accuracy says little; with many classes, half of an equal share."""


def report(
    task: Task, texts: Mapping[str, Dataset], lengths: Mapping[str, np.ndarray], max_length: int
) -> None:
    """Log the splits, classes and lengths of a dataset, and warn of what is likely to be a mistake.

    Args:
        texts: The labelled splits, before they are tokenised.
        lengths: Word pieces of each input of these splits, before truncation.
        max_length: Word pieces beyond which an input is truncated.
    """
    sizes = ", ".join(f"{split} {len(rows)}" for split, rows in texts.items())
    log.info("%s: rows: %s", task.name, sizes)
    if not task.is_reranking and task.label_names is not None:
        _report_classes(task, texts)
    middle, most = np.percentile(lengths["train"], [50, 99])
    log.info(
        "%s: word pieces of an input of train: median %d, 99%% have at most %d, longest %d",
        *(task.name, middle, most, lengths["train"].max()),
    )
    shares = ", ".join(
        f"{np.mean(counted > max_length):.2%} of {split}" for split, counted in lengths.items()
    )
    log.info("%s: max_length %d truncates %s", task.name, max_length, shares)
    repeated = "" if task.is_reranking else _repeated(task, texts)  # queries are warned of elsewhere
    for problem in (_empty(task, texts), repeated):
        if problem:
            log.warning("%s: %s", task.name, problem)


def _report_classes(task: Task, texts: Mapping[str, Dataset]) -> None:
    names = task.label_names or ()
    counts = {
        split: np.sum([_rows_of(label, len(names)) for (label,) in _parts(rows, ["label"])], axis=0)
        for split, rows in texts.items()
    }
    for split, counted in counts.items():
        shown = ", ".join(f"{name} {count}" for name, count in zip(names, counted, strict=True))
        log.info("%s: classes of %s: %s", task.name, split, shorten(shown, 1000))
    if never := [name for name, count in zip(names, counts["train"], strict=True) if count == 0]:
        shown = shorten(", ".join(f"'{name}'" for name in never), 500)
        log.warning("%s: never occurs in train, so no model can learn it: %s", task.name, shown)
    share = counts["train"] / len(texts["train"])
    rare = np.flatnonzero((share > 0) & (share < min(RARE, 0.5 / len(names))))
    if len(rare) and not task.is_multiple_choice:
        shown = shorten(", ".join(f"'{names[index]}' is {share[index]:.2%}" for index in rare), 500)
        better = "macro_f1" if task.is_multi_label else "f1"
        metric = f"dataset.metric={better} and " if task.metric == "accuracy" else ""
        log.warning(
            "%s: of train %s, which accuracy hardly shows; consider %sclass_weights=balanced",
            *(task.name, shown, metric),
        )


def _rows_of(label: pa.Array, classes: int) -> np.ndarray:
    """Count the rows of each class."""
    if pa.types.is_fixed_size_list(label.type):
        return label.flatten().to_numpy().reshape(-1, classes).sum(0).astype(int)
    return np.bincount(label, minlength=classes)


def _empty(task: Task, texts: Mapping[str, Dataset]) -> str:
    """Count the texts that are empty or blank."""
    columns = task.text_columns[: 1 if task.is_multiple_choice else None]
    found = []
    for split, rows in texts.items():
        blank = np.zeros(len(columns), int)
        for parts in _parts(rows, columns):
            lengths = [pc.binary_length(pc.utf8_trim_whitespace(part)) for part in parts]
            blank += [len(counted) - np.count_nonzero(counted) for counted in lengths]
        found += [f"{n} in '{column}' of {split}" for column, n in zip(columns, blank, strict=True) if n]
    return f"empty texts: {', '.join(found)}" if found else ""


def _repeated(task: Task, texts: Mapping[str, Dataset]) -> str:
    """Count the inputs of other splits that are in train too, word for word."""
    found = []
    for split, rows in texts.items():
        if split != "train":
            inputs = pa.chunked_array(_inputs(rows, task.text_columns), pa.large_string())
            shared = [
                part.filter(pc.is_in(part, inputs)) for part in _inputs(texts["train"], task.text_columns)
            ]
            count = pc.sum(pc.is_in(inputs, pa.chunked_array(shared, pa.large_string()))).as_py() or 0
            found += [f"{count} of {len(rows)} of {split}"] if count else []
    return f"inputs of train are also in other splits: {', '.join(found)}" if found else ""


def _inputs(rows: Dataset, columns: Sequence[str]) -> Iterator[pa.Array]:
    """Yield the texts of the inputs of a part of the rows, joined."""
    for parts in _parts(rows, columns):
        joined = [pc.binary_join(part, "\x1f") if pa.types.is_list(part.type) else part for part in parts]
        strings = [part.cast(pa.large_string()) for part in joined]
        yield pc.binary_join_element_wise(*strings, pa.scalar("\x1f", pa.large_string()))


def _parts(rows: Dataset, columns: Sequence[str]) -> Iterator[list[pa.Array]]:
    """Yield the columns of the rows, some at a time, in the order of the table that rows were chosen from."""
    table, chosen = rows.data.table.select(list(columns)), None
    if rows._indices is not None:  # to gather rows one by one takes 50 times as long
        chosen = np.zeros(len(table), bool)
        chosen[rows._indices.column(0).to_numpy()] = True
    for start in range(0, len(table), 100_000):
        part = table.slice(start, 100_000)
        if chosen is not None:
            part = part.filter(pa.array(chosen[start : start + 100_000]))
        yield [part[column].combine_chunks() for column in columns]
