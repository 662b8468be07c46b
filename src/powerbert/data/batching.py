"""The data module: a source's rows as tokenised batches of similar length, with little padding."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
from powerbert.data.report import report
from powerbert.data.task import Source, Task
from powerbert.data.tokenize import LENGTHS, QUERY, choose_max_length, row_lengths, tokenize

log = logging.getLogger(__name__)

TEACHER_LOGITS = "teacher_logits"
"""Column of training rows for which a teacher was asked."""

POOL = 50
"""Batches that are sorted together: large pools waste less on padding, small ones mix better."""


class LengthGroupedSampler(Sampler[int]):
    """Shuffle rows into an order in which the rows of a batch have similar lengths.

    Shuffled rows are cut into pools, sorted by length within each pool and cut into batches, which are
    shuffled; the one batch that may be smaller comes last. The order depends only on the lengths, the batch
    size over all processes, the seed and the epoch: a resumed run sees the same batches, and processes agree.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int):
        """Take the length of each row."""
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
        """Iterate over the rows of the epoch."""
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
        """Take the length of each row."""
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
        """Take the tokenizer, which pads, and the task, for choices and label types."""
        self.tokenizer = tokenizer
        self.task = task

    def __call__(
        self, rows: Sequence[Mapping[str, Any]], pad_to: int | None = None, *, queries: bool = False
    ) -> dict[str, Tensor]:
        """Pad B rows of `tokenize` to `pad_to` word pieces, by default the length of the longest.

        Returns:
            `input_ids`, `attention_mask` and so on of shape [B, N], or [B, choices, N] for multiple choice,
            and `labels` of shape [B] (int64, or float32 for regression; float32 [B, 1] for reranking, and
            [B, classes] for multi-label classification) if the rows have labels; `teacher_logits`,
            [B, classes], if the rows have these; with `queries` also `QUERY`, [B], if they have it.
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
            number = self.task.num_labels == 1 or self.task.is_multi_label
            dtype = torch.float32 if number else torch.int64
            labels = torch.tensor([row["label"] for row in rows], dtype=dtype)
            batch["labels"] = labels.unsqueeze(1) if self.task.is_reranking else labels
        if queries and QUERY in rows[0]:
            batch[QUERY] = torch.tensor([row[QUERY] for row in rows])
        if TEACHER_LOGITS in rows[0]:
            batch[TEACHER_LOGITS] = torch.tensor([row[TEACHER_LOGITS] for row in rows])
        return batch


class ResumableLoader(DataLoader):
    """A DataLoader whose passes may begin within the epoch."""

    def skip(self, batches: int) -> None:
        """Omit the first batches of the next pass only; the sampler must be a `LengthGroupedSampler`."""
        assert isinstance(self.sampler, LengthGroupedSampler)
        assert self.batch_size is not None
        self.sampler.skip(batches * self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        """Draw rows once the first batch is requested: Lightning sets the epoch after it asks for this."""
        yield from super().__iter__()


def make_loader(
    rows: Dataset,
    collate: Callable[[list[Any]], dict[str, Tensor]],
    sampler: Sampler[int],
    batch_size: int,
    num_workers: int = 0,
) -> ResumableLoader:
    """Make a DataLoader over tokenised rows; `list(loader.sampler)` maps its outputs to rows."""
    return ResumableLoader(
        rows,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


class TextDataModule(LightningDataModule):
    """Train, dev and evaluation batches of one task; `setup` fills the attributes.

    Attributes:
        max_length: l, in word pieces, given by the task or chosen by the length rule.
        dataset: Train, dev and the evaluation split, tokenised, in the order of the source. For reranking,
            the grades of train are divided by the greatest of them if that exceeds 1.
        truncated: The share of each split's inputs that were longer than `max_length`.
    """

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
        """Take the parts of the batches; nothing is read yet.

        Args:
            batch_size: Inputs per training batch, over all processes.
            seed: Seed of the order of the training batches.
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
        self.max_length = 0
        self.dataset: dict[str, Dataset] = {}
        self.truncated: dict[str, float] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read and tokenise all splits, and log what they are like; a second call does nothing.

        Raises:
            DataError: If a split or its labels are missing, or a row is invalid.
        """
        if self.dataset:
            return
        task, texts = self.task, self.source.load()
        splits = dict.fromkeys(("train", "dev", task.evaluation_split))
        for split in splits:
            self._check(split, texts)
        if task.max_length == "auto":
            counted = row_lengths(tokenize(texts["train"], task, self.tokenizer, max(LENGTHS)))
            self.max_length = choose_max_length(counted, longest=self.tokenizer.model_max_length)
        else:
            self.max_length = task.max_length
        dataset = {split: tokenize(texts[split], task, self.tokenizer, self.max_length) for split in splits}
        lengths = {split: row_lengths(rows) for split, rows in dataset.items()}
        self.truncated = {
            split: float(np.mean(counted > self.max_length)) for split, counted in lengths.items()
        }
        report(task, {split: texts[split] for split in splits}, lengths, self.max_length)
        if task.is_reranking:
            self._prepare_grades(dataset)
        self.dataset = dataset

    @property
    def num_choices(self) -> int:
        """Number of sequences that make one input."""
        return self.task.num_choices

    def lengths(self, split: str) -> np.ndarray:
        """Return the number of word pieces of each input of a split, of its longest choice."""
        return np.minimum(row_lengths(self.dataset[split]), self.max_length)

    def train_dataloader(self) -> DataLoader:
        """Return shuffled batches of similar length; the order depends on seed and epoch."""
        rows = self.dataset["train"]
        sampler = LengthGroupedSampler(self.lengths("train"), self.batch_size, self.seed)
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
        collate = partial(self.collate, queries=True)
        return make_loader(rows, collate, sampler, self.eval_batch_size, self.num_workers)

    def _prepare_grades(self, dataset: dict[str, Dataset]) -> None:
        """Check a reranker's grades, scale those of train, and warn of queries of train in other splits."""
        name, shared = f"dataset '{self.task.name}'", []
        arrays = {
            split: rows.select_columns(["label", QUERY]).with_format("numpy")[:]
            for split, rows in dataset.items()
        }
        for split, columns in arrays.items():
            grades = columns["label"]
            if grades.min() < 0:
                row = int((grades < 0).argmax())
                raise DataError(
                    f"{name}: split '{split}', row {row + 1}: label {grades[row]:g} is negative; a passage's "
                    "grade is 0 if it is irrelevant, else more"
                )
            if grades.max() == 0:
                raise DataError(f"{name}: split '{split}' has no relevant passage, since every label is 0")
            common = len(np.intersect1d(columns[QUERY], arrays["train"][QUERY]))
            if common and split != "train":
                shared.append(f"{common} of {split}")
        grades = arrays["train"]["label"]
        if grades.max() > 1:
            unscaled = dataset["train"].remove_columns("label")
            dataset["train"] = unscaled.add_column("label", grades / grades.max())
        if shared:
            log.warning("%s: queries of train are also in other splits: %s", name, ", ".join(shared))

    def _check(self, split: str, texts: DatasetDict) -> None:
        name = self.task.name
        if split not in texts:
            raise DataError(f"dataset '{name}' has no split '{split}'; it has {', '.join(texts)}")
        rows = texts[split]
        place, found = f"dataset '{name}': split '{split}'", rows.column_names
        for column in self.task.text_columns:
            if column not in found:
                raise DataError(f"{place} has no column '{column}'; it has {', '.join(found)}")
        if "label" not in found:
            unlabelled_test = split == self.task.evaluation_split == "test"
            hint = "; set dataset.evaluation_split=dev" if unlabelled_test else ""
            raise DataError(f"{place} has no labels{hint}")
        if len(rows) == 0:
            raise DataError(f"{place} has no rows")
