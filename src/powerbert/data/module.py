"""The data module: a source's rows as tokenised batches of like length."""

import logging

import numpy as np
from datasets import Dataset, DatasetDict
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from powerbert.base.errors import DataError
from powerbert.data.batching import LengthGroupedSampler, LengthSortedSampler, PaddingCollator, make_loader
from powerbert.data.length import choose_max_length
from powerbert.data.source import Source
from powerbert.data.task import Task
from powerbert.data.tokenize import count_word_pieces, row_lengths, tokenize

log = logging.getLogger(__name__)


class TextDataModule(LightningDataModule):
    """Train, dev and evaluation batches of one task.

    After `setup`:

    Attributes:
        task: what is predicted.
        max_length: l, in word pieces; what the length rule chose, if it was asked.
        texts: the source's splits, as they came.
        dataset: the splits train, dev and the evaluation split, tokenised, in the order of `texts`.
        truncated: the share of each split's inputs that were longer than `max_length`.
        collate: makes a batch of rows of `dataset`.
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
        """Takes what the batches are made of; nothing is read yet.

        Args:
            source: gives the splits.
            task: says which columns and how long.
            tokenizer: of the model.
            batch_size: inputs of a training batch, over all processes.
            seed: of the order of the training batches.
            num_workers: of each DataLoader.
            eval_batch_size: inputs of an evaluation batch, over all processes; `batch_size` by default.
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
        """Reads and tokenises; a second call does nothing.

        Args:
            stage: of Lightning; all splits are made ready for any.

        Raises:
            DataError: if a split or its labels are missing, or a row is not as it should be.
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
        """Shuffled batches of like length; the order depends on seed and epoch."""
        rows = self.dataset["train"]
        lengths = np.minimum(row_lengths(rows), self.max_length)
        sampler = LengthGroupedSampler(lengths, self.batch_size, self.seed)
        return make_loader(rows, self.collate, sampler, self.batch_size, self.num_workers)

    def val_dataloader(self) -> DataLoader:
        """The dev split, the longest inputs first."""
        return self._evaluation_loader("dev")

    def test_dataloader(self) -> DataLoader:
        """The evaluation split, the longest inputs first."""
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
