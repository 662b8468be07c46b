"""Datasets: the sources of rows, the task they state, and the batches made of them."""

from typing import TYPE_CHECKING

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.data.batching import (
        TEACHER_LOGITS,
        LengthSortedSampler,
        PaddingCollator,
        TextDataModule,
        make_loader,
    )
    from powerbert.data.recombine import recombine
    from powerbert.data.task import Source, Task
    from powerbert.data.tokenize import QUERY, load_texts, row_lengths, tokenize

__all__ = [
    "QUERY",
    "TEACHER_LOGITS",
    "LengthSortedSampler",
    "PaddingCollator",
    "Source",
    "Task",
    "TextDataModule",
    "load_texts",
    "make_loader",
    "recombine",
    "row_lengths",
    "tokenize",
]

lazy_package(__name__)
