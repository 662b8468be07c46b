"""The data module: a source's rows as tokenised batches of similar length, with little padding."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from powerbert.base.errors import DataError
from powerbert.data.task import Source, Task
from powerbert.data.tokenize import choose_max_length, count_word_pieces, row_lengths, tokenize

log = logging.getLogger(__name__)

POOL = 50
"""Batches that are sorted together: large pools waste less on padding, small ones mix better."""


class LengthGroupedSampler(Sampler[int]):
    """Shuffle rows into an order in which consecutive batches have similar lengths.

    The rows are shuffled, cut into pools of 50 batches, sorted by length within each pool and cut into
    batches, which are shuffled; the one batch that may be smaller comes last. The order depends only on the
    lengths, `batch_size`, `seed` and the epoch, so a resumed run sees the same batches, and all processes of
    a training agree on them.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int):
        """Set the lengths of the rows and the rows per batch, over all processes."""
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self._first = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order; Lightning calls it before each epoch, from 0."""
        self.epoch = epoch

    def skip(self, rows: int) -> None:
        """Omit the first rows of the next pass only."""
        self._first = rows

    def __iter__(self) -> Iterator[int]:
        """Iterate over all rows, or those left after `skip`."""
        first, self._first = self._first, 0
        return islice(self._order(), first, None)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def _order(self) -> Iterator[int]:
        """Yield the rows of an epoch; int32 arrays take a tenth of the memory of lists."""
        random = np.random.default_rng([self.seed, self.epoch])
        rows = random.permutation(np.arange(len(self.lengths), dtype=np.int32))
        for start in range(0, len(rows), POOL * self.batch_size):
            pool = rows[start : start + POOL * self.batch_size]
            pool[:] = pool[np.argsort(-self.lengths[pool], kind="stable")]
        full = len(rows) // self.batch_size
        for batch in np.append(random.permutation(full), full):
            yield from rows[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()


class LengthSortedSampler(Sampler[int]):
    """Order rows from the longest to the shortest, for evaluation."""

    def __init__(self, lengths: Sequence[int] | np.ndarray):
        """Set the lengths of the rows."""
        self.rows = np.argsort(-np.asarray(lengths), kind="stable").astype(np.int32)

    def __iter__(self) -> Iterator[int]:
        """Iterate over all rows."""
        return map(int, self.rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)


class PaddingCollator:
    """Make a batch of tokenised rows."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, task: Task):
        """Set the tokenizer, for its padding piece and side, and the task, for choices and label types."""
        self.tokenizer = tokenizer
        self.task = task

    def __call__(self, rows: Sequence[Mapping[str, Any]], pad_to: int | None = None) -> dict[str, Tensor]:
        """Pad the rows and drop the columns that no model takes.

        Args:
            rows: B rows of `tokenize`.
            pad_to: Length in word pieces; None for that of the longest row.

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

    No row is drawn before the first batch is requested: Lightning creates the iterator before it sets the
    sampler's epoch.
    """

    _skipped = 0

    def skip(self, batches: int) -> None:
        """Omit the first batches of the next pass only."""
        self._skipped = batches

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        """Iterate over the batches of an epoch, or those left after `skip`."""
        assert isinstance(self.sampler, LengthGroupedSampler)
        assert self.batch_size is not None
        first, self._skipped = self._skipped, 0
        self.sampler.skip(first * self.batch_size)
        yield from super().__iter__()


def make_loader(
    rows: Dataset, collate: PaddingCollator, sampler: Sampler[int], batch_size: int, num_workers: int = 0
) -> DataLoader:
    """Make a DataLoader over tokenised rows, resumable if the sampler is a `LengthGroupedSampler`.

    Args:
        sampler: `list(loader.sampler)` tells which row each output belongs to.
        num_workers: Processes that pad; they live as long as the loader.
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


class TextDataModule(LightningDataModule):
    """Train, dev and evaluation batches of one task; `setup` fills all attributes but `collate`.

    Attributes:
        collate: Makes a batch of rows of `dataset`.
        max_length: l, in word pieces, given by the task or chosen by the length rule.
        texts: The source's splits, unchanged.
        dataset: Train, dev and the evaluation split, tokenised, in the order of `texts`.
        truncated: The share of each split's inputs that were longer than `max_length`.
    """

    texts: DatasetDict
    dataset: dict[str, Dataset]
    truncated: dict[str, float]
    max_length: int

    def __init__(
        self,
        source: Source,
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        eval_batch_size: int | None = None,
    ):
        """Set what the batches are made of; nothing is read yet.

        Args:
            batch_size: Inputs per training batch, over all processes.
            seed: Seed of the order of the training batches.
            num_workers: Worker processes of each DataLoader.
            eval_batch_size: Inputs per evaluation batch, over all processes; `batch_size` by default.
        """
        super().__init__()
        self.source = source
        self.task = task
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.collate = PaddingCollator(tokenizer, task)
        self.dataset = {}
        self.truncated = {}

    def setup(self, stage: str | None = None) -> None:
        """Read and tokenise all splits; a second call does nothing.

        Raises:
            DataError: If a split or its labels are missing, or a row is invalid.
        """
        if self.dataset:
            return
        self.texts = self.source.load()
        splits = dict.fromkeys(("train", "dev", self.task.evaluation_split))
        for split in splits:
            self._check(split)
        self.max_length = self._resolve_max_length()
        dataset = {
            split: tokenize(self.texts[split], self.task, self.tokenizer, self.max_length) for split in splits
        }
        self.truncated = {
            split: float(np.mean(row_lengths(rows) > self.max_length)) for split, rows in dataset.items()
        }
        self.dataset = dataset
        shares = ", ".join(f"{share:.2%} of {split}" for split, share in self.truncated.items())
        log.info("%s: max_length %d truncates %s", self.task.name, self.max_length, shares)

    @property
    def num_choices(self) -> int:
        """Number of sequences that make one input."""
        return self.task.num_choices

    def train_dataloader(self) -> DataLoader:
        """Return shuffled batches of similar length; the order depends on seed and epoch."""
        rows = self.dataset["train"]
        lengths = np.minimum(row_lengths(rows), self.max_length)
        sampler = LengthGroupedSampler(lengths, self.batch_size, self.seed)
        return make_loader(rows, self.collate, sampler, self.batch_size, self.num_workers)

    def val_dataloader(self) -> DataLoader:
        """Return the dev split, the longest inputs first."""
        return self._evaluation_loader("dev")

    def test_dataloader(self) -> DataLoader:
        """Return the evaluation split, the longest inputs first."""
        return self._evaluation_loader(self.task.evaluation_split)

    def _evaluation_loader(self, split: str) -> DataLoader:
        rows = self.dataset[split]
        sampler = LengthSortedSampler(row_lengths(rows))
        return make_loader(rows, self.collate, sampler, self.eval_batch_size, self.num_workers)

    def _resolve_max_length(self) -> int:
        if self.task.max_length != "auto":
            return self.task.max_length
        counted = count_word_pieces(self.texts["train"], self.task, self.tokenizer)
        choice = choose_max_length(counted, longest=self.tokenizer.model_max_length)
        log.info(
            "%s: max_length=auto: at most 1%% of the training inputs are longer than %d word pieces; "
            "chose %d, which truncates %.2f%%",
            self.task.name,
            choice.covering,
            choice.max_length,
            100 * choice.truncated,
        )
        return choice.max_length

    def _check(self, split: str) -> None:
        name = self.task.name
        if split not in self.texts:
            raise DataError(f"dataset '{name}' has no split '{split}'; it has {', '.join(self.texts)}")
        rows = self.texts[split]
        for column in self.task.text_columns:
            if column not in rows.column_names:
                found = ", ".join(rows.column_names)
                raise DataError(f"dataset '{name}': split '{split}' has no column '{column}'; it has {found}")
        if "label" not in rows.column_names:
            hint = (
                "; set dataset.evaluation_split=dev" if split == self.task.evaluation_split == "test" else ""
            )
            raise DataError(f"dataset '{name}': split '{split}' has no labels{hint}")
        if len(rows) == 0:
            raise DataError(f"dataset '{name}': split '{split}' has no rows")
