"""Batches of inputs of like length, so that little of a batch is padding."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from powerbert.data.task import Task

POOL = 50
"""Batches that are sorted together: large pools waste less on padding, small ones mix better."""


class LengthGroupedSampler(Sampler[int]):
    """Shuffled rows in an order that makes consecutive batches of like length.

    The rows are shuffled, cut into pools of 50 batches, sorted by length within each pool and cut into
    batches, which are shuffled; the one batch that may be smaller comes last. The order depends on nothing
    but the lengths, `batch_size`, `seed` and the epoch. So an interrupted run goes on as if it had not been,
    and every process of a training has the same batches, of which it takes its share.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int):
        """Takes the rows.

        Args:
            lengths: of each row.
            batch_size: rows of a batch over all processes.
            seed: of the order.
        """
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self._first = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch's order. Lightning calls it before each epoch.

        Args:
            epoch: number of finished epochs.
        """
        self.epoch = epoch

    def skip(self, rows: int) -> None:
        """Leaves out the first rows of the next pass, and of no other.

        Args:
            rows: how many.
        """
        self._first = rows

    def __iter__(self) -> Iterator[int]:
        """All rows, or what is left of them after `skip`."""
        first, self._first = self._first, 0
        return islice(self._order(), first, None)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    def _order(self) -> Iterator[int]:
        """An epoch, in four bytes a row: lists of millions of numbers would take ten times that."""
        random = np.random.default_rng([self.seed, self.epoch])
        rows = random.permutation(np.arange(len(self.lengths), dtype=np.int32))
        for start in range(0, len(rows), POOL * self.batch_size):
            pool = rows[start : start + POOL * self.batch_size]
            pool[:] = self._sorted(pool)
        full = len(rows) // self.batch_size
        for batch in np.append(random.permutation(full), full):
            yield from rows[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()

    def _sorted(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.argsort(-self.lengths[rows], kind="stable")]


class LengthSortedSampler(Sampler[int]):
    """All rows, the longest first: for evaluation, where the order does not matter."""

    def __init__(self, lengths: Sequence[int] | np.ndarray):
        """Takes the rows.

        Args:
            lengths: of each row.
        """
        self.rows = np.argsort(-np.asarray(lengths), kind="stable").astype(np.int32)

    def __iter__(self) -> Iterator[int]:
        """All rows."""
        return map(int, self.rows)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)


class PaddingCollator:
    """Makes a batch of tokenised rows."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, task: Task):
        """Takes what says how.

        Args:
            tokenizer: knows its padding piece and side.
            task: says whether rows hold several choices and whether labels are numbers.
        """
        self.tokenizer = tokenizer
        self.task = task

    def __call__(self, rows: Sequence[Mapping[str, Any]], pad_to: int | None = None) -> dict[str, Tensor]:
        """Pads the rows; columns that are not a model's are left out.

        Args:
            rows: B rows of `tokenize`.
            pad_to: pads to that many word pieces; None for the longest of the rows.

        Returns:
            `input_ids`, `attention_mask` and so on of shape [B, N], or [B, choices, N] for multiple choice,
            and `labels` of shape [B] (int64, or float32 for regression) if the rows have labels.
        """
        names = [name for name in self.tokenizer.model_input_names if name in rows[0]]
        if self.task.is_multiple_choice:
            flat = [
                {name: row[name][i] for name in names} for row in rows for i in range(len(row["input_ids"]))
            ]
        else:
            flat = [{name: row[name] for name in names} for row in rows]
        padding = "longest" if pad_to is None else "max_length"
        batch = dict(DataCollatorWithPadding(self.tokenizer, padding=padding, max_length=pad_to)(flat))
        if self.task.is_multiple_choice:
            batch = {name: tensor.view(len(rows), -1, tensor.shape[-1]) for name, tensor in batch.items()}
        if "label" in rows[0]:
            dtype = torch.float32 if self.task.is_regression else torch.int64
            batch["labels"] = torch.tensor([row["label"] for row in rows], dtype=dtype)
        return batch


class ResumableLoader(DataLoader):
    """A DataLoader over a `LengthGroupedSampler` whose passes may begin within the epoch.

    Nothing is drawn before the first batch is asked for: Lightning makes its iterator before it tells the
    sampler the epoch.
    """

    _skipped = 0

    def skip(self, batches: int) -> None:
        """Leaves out the first batches of the next pass, and of no other.

        Args:
            batches: how many.
        """
        self._skipped = batches

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        """The batches of an epoch, or what is left of it."""
        assert isinstance(self.sampler, LengthGroupedSampler)
        assert self.batch_size is not None
        first, self._skipped = self._skipped, 0
        self.sampler.skip(first * self.batch_size)
        yield from super().__iter__()


def make_loader(
    rows: Dataset, collate: PaddingCollator, sampler: Sampler[int], batch_size: int, num_workers: int = 0
) -> DataLoader:
    """A DataLoader over tokenised rows.

    Args:
        rows: of `tokenize`.
        collate: pads them.
        sampler: gives the order; `list(loader.sampler)` says which row each output belongs to.
        batch_size: rows of a batch.
        num_workers: processes that pad; they live as long as the loader.

    Returns:
        The loader; resumable if the sampler is a `LengthGroupedSampler`.
    """
    kind = ResumableLoader if isinstance(sampler, LengthGroupedSampler) else DataLoader
    return kind(
        rows,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
