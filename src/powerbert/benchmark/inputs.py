"""Batches to time on: of a dataset's inputs, or of inputs whose lengths are drawn."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig

from powerbert.base.errors import UserError
from powerbert.data import PaddingCollator, tokenize
from powerbert.measure.latency import Batch, Rows, dynamic_batches, fill
from powerbert.models import load_tokenizer
from powerbert.predict.subject import Subject

PROTOCOLS: Mapping[str, str] = {
    "padded": "every input padded to the length, as the paper timed",
    "dynamic": "inputs sorted by length, padded to the longest of their batch",
    "full": "every word piece up to the length real, and no mask",
}
"""The protocols, and what they mean."""

log = logging.getLogger(__name__)


class Inputs(ABC):
    """Where the inputs come from.

    Attributes:
        description: of it, in a line.
    """

    description: str

    @abstractmethod
    def rows(self, length: int, count: int) -> Rows:
        """Inputs as word pieces, no longer than `length`; at most `count` of them."""

    @abstractmethod
    def collate(self, rows: list[Any], pad_to: int | None) -> Batch:
        """A batch of the rows, padded to `pad_to` word pieces or, with None, to the longest of them."""

    def batches(self, protocol: str, batch_size: int, length: int, count: int) -> list[Batch]:
        """What one timed pass goes over.

        Args:
            protocol: a key of `PROTOCOLS`. *padded* and *full* have one batch, *dynamic* has up to `count`.
            batch_size: inputs of a batch; they are used again from the start if there are too few.
            length: word pieces of a padded input; longer ones are truncated.
            count: batches of the *dynamic* protocol.

        Returns:
            Batches of `input_ids` and so on, [B, N], or [B, choices, N] for multiple choice. Those of *full*
            have no `attention_mask`, so that every word counts as real and the fastest kernel can be had.
        """
        rows = self.rows(length, batch_size * count)
        if protocol == "dynamic":
            chosen = dynamic_batches(rows, batch_size, count)
            return [self._batch(rows, indices, None) for indices in chosen]
        padded = self._batch(rows, fill(range(len(rows)), batch_size), length)
        if protocol == "full":
            del padded["attention_mask"]
        return [padded]

    def _batch(self, rows: Rows, indices: list[int], pad_to: int | None) -> Batch:
        batch = self.collate([rows[index] for index in indices], pad_to)
        return {name: tensor for name, tensor in batch.items() if name != "labels"}


class DrawnInputs(Inputs):
    """Words drawn at random; the lengths of the inputs follow a log-normal distribution.

    Its median is a share of the padded length, and one input in a hundred would be longer than that: the
    rule by which the paper chose the padded length (section 3.1).
    """

    def __init__(self, config: PreTrainedConfig, median_length: float, seed: int):
        """Takes the distribution.

        Args:
            config: of the model; it says how many words there are, and whether they have token types.
            median_length: as a share of the padded length, above 0 and at most 1.
            seed: of the draw.
        """
        self.vocab_size: int = config.vocab_size
        self.padding = config.pad_token_id or 0
        self.token_types = getattr(config, "type_vocab_size", 0) > 1
        self.median_length = median_length
        self.seed = seed
        self.description = (
            f"words drawn at random (seed {seed}); lengths log-normal, with a median of {median_length:.0%} "
            "of the padded length, which one in a hundred fills"
        )

    def rows(self, length: int, count: int) -> Rows:
        """As many as asked for; the same for the same length."""
        random = np.random.default_rng([self.seed, length])
        sigma = math.log(1 / self.median_length) / NormalDist().inv_cdf(0.99)
        lengths = random.lognormal(math.log(self.median_length * length), sigma, count).round().astype(int)
        return [
            {"input_ids": random.integers(self.vocab_size, size=size).tolist()}
            for size in lengths.clip(min(3, length), length)
        ]

    def collate(self, rows: list[Any], pad_to: int | None) -> Batch:
        """Pads on the right."""
        lengths = [len(row["input_ids"]) for row in rows]
        width = pad_to or max(lengths)
        missing = [[self.padding] * (width - length) for length in lengths]
        input_ids = torch.tensor([row["input_ids"] + pad for row, pad in zip(rows, missing, strict=True)])
        mask = torch.arange(width) < torch.tensor(lengths)[:, None]
        batch = {"input_ids": input_ids, "attention_mask": mask.long()}
        return batch | {"token_type_ids": torch.zeros_like(input_ids)} if self.token_types else batch


class SplitInputs(Inputs):
    """Inputs of the split that an artifact was evaluated on."""

    def __init__(self, subject: Subject):
        """Takes the model's dataset.

        Args:
            subject: gives the rows, its seed draws them.

        Raises:
            DataError: if the data cannot be had.
            ConfigError: if the artifact does not say what it was trained on.
        """
        self.subject = subject
        self.tokenizer = load_tokenizer(subject.folder)
        self.collator = PaddingCollator(self.tokenizer, subject.task)
        split = subject.task.evaluation_split
        self.description = f"{subject.task.name}: drawn from the {len(subject.sample())} inputs of {split}"

    def rows(self, length: int, count: int) -> Rows:
        """Drawn from the split."""
        return tokenize(self.subject.sample(count), self.subject.task, self.tokenizer, length)

    def collate(self, rows: list[Any], pad_to: int | None) -> Batch:
        """Pads as the model's tokenizer does."""
        return self.collator(rows, pad_to)


def choose_inputs(
    artifact: str | None, task: str, config: PreTrainedConfig, median_length: float, seed: int
) -> Inputs:
    """The evaluation split of an artifact, if its data can be had; else inputs of drawn lengths.

    Args:
        artifact: its folder; None for a shape.
        task: a key of `TASKS`.
        config: of the model.
        median_length: of drawn inputs, see `DrawnInputs`.
        seed: of the draw, from the split too.

    Raises:
        UserError: if the data cannot be had, and the task is multiple choice: how many there are, and what
            they share, cannot be made up.
    """
    drawn = DrawnInputs(config, median_length, seed)
    if artifact is None:
        return drawn
    try:
        return SplitInputs(Subject(artifact, seed=seed))
    except UserError as error:
        if task == "multiple_choice":
            raise
        log.warning("its dataset cannot be had, so inputs are drawn: %s", error)
        return drawn
