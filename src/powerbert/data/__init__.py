"""Datasets: where rows come from, what their task is, and how they become batches."""

from powerbert.data.batching import LengthGroupedSampler, LengthSortedSampler, PaddingCollator, make_loader
from powerbert.data.length import LengthChoice, choose_max_length
from powerbert.data.module import TextDataModule
from powerbert.data.source import Source
from powerbert.data.task import Task
from powerbert.data.tokenize import load_texts, row_lengths, tokenize

__all__ = [
    "LengthChoice",
    "LengthGroupedSampler",
    "LengthSortedSampler",
    "PaddingCollator",
    "Source",
    "Task",
    "TextDataModule",
    "choose_max_length",
    "load_texts",
    "make_loader",
    "row_lengths",
    "tokenize",
]
