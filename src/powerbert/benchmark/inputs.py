"""Batches to time on: inputs of a dataset, or random inputs with realistic lengths."""

import logging
import math
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
"""The protocols and their meaning."""

log = logging.getLogger(__name__)


class Inputs:
    """A source of inputs; `description` says in one line where they come from."""

    description: str

    def rows(self, length: int, count: int) -> Rows:
        """Return at most `count` inputs of at most `length` word pieces."""
        raise NotImplementedError

    def collate(self, rows: list[Any], pad_to: int | None) -> Batch:
        """Make a batch, padded to `pad_to` word pieces or, with None, to the longest row."""
        raise NotImplementedError

    def batches(
        self, protocol: str, batch_size: int, length: int, count: int, device: torch.device | str = "cpu"
    ) -> list[Batch]:
        """Return the batches of one timed pass.

        Args:
            protocol: A key of `PROTOCOLS`. *padded* and *full* have one batch.
            batch_size: Inputs per batch; repeated from the start if there are too few.
            length: Word pieces of a padded input; longer inputs are truncated.
            count: Largest number of batches of the *dynamic* protocol.
            device: Device of the batches.

        Returns:
            Batches of `input_ids` and so on, [B, N], or [B, choices, N] for multiple choice. *full* has no
            `attention_mask`: every word piece is real, and the fastest kernels apply.
        """
        rows = self.rows(length, batch_size * count)
        if protocol == "dynamic":
            chosen, pad_to = dynamic_batches(rows, batch_size, count), None
        else:
            chosen, pad_to = [fill(range(len(rows)), batch_size)], length
        dropped = {"labels", "attention_mask"} if protocol == "full" else {"labels"}
        batches = (self.collate([rows[index] for index in indices], pad_to) for indices in chosen)
        return [
            {name: tensor.to(device) for name, tensor in batch.items() if name not in dropped}
            for batch in batches
        ]


class DrawnInputs(Inputs):
    """Random words; the number of words follows a log-normal distribution.

    One input in a hundred would exceed the padded length: the rule by which the paper chose that length
    (section 3.1).
    """

    def __init__(self, config: PreTrainedConfig, median_length: float, seed: int):
        """Set the distribution; `median_length` is a share of the padded length, above 0 and at most 1."""
        self.config, self.median_length, self.seed = config, median_length, seed
        self.description = (
            f"words drawn at random (seed {seed}); lengths log-normal, with a median of {median_length:.0%} "
            "of the padded length, which one in a hundred fills"
        )

    def rows(self, length: int, count: int) -> Rows:
        """Draw `count` inputs; seed and length determine them."""
        random = np.random.default_rng([self.seed, length])
        sigma = math.log(1 / self.median_length) / NormalDist().inv_cdf(0.99)
        lengths = random.lognormal(math.log(self.median_length * length), sigma, count).round().astype(int)
        return [
            {"input_ids": random.integers(self.config.vocab_size, size=size).tolist()}
            for size in lengths.clip(min(3, length), length)
        ]

    def collate(self, rows: list[Any], pad_to: int | None) -> Batch:
        """Pad on the right."""
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        mask = torch.arange(pad_to or int(lengths.max())) < lengths[:, None]
        input_ids = torch.full(mask.shape, self.config.pad_token_id or 0)
        input_ids[mask] = torch.tensor([word for row in rows for word in row["input_ids"]])
        batch = {"input_ids": input_ids, "attention_mask": mask.long()}
        if getattr(self.config, "type_vocab_size", 0) > 1:
            batch["token_type_ids"] = torch.zeros_like(input_ids)
        return batch


class SplitInputs(Inputs):
    """Inputs of the split that an artifact was evaluated on."""

    def __init__(self, subject: Subject):
        """Load the split, or raise a UserError; the seed of `subject` draws the rows."""
        self.subject = subject
        self.tokenizer = load_tokenizer(subject.folder)
        self.collator = PaddingCollator(self.tokenizer, subject.task)
        split = subject.task.evaluation_split
        self.description = f"{subject.task.name}: drawn from the {len(subject.sample())} inputs of {split}"

    def rows(self, length: int, count: int) -> Rows:
        """Draw rows from the split."""
        return tokenize(self.subject.sample(count), self.subject.task, self.tokenizer, length)

    def collate(self, rows: list[Any], pad_to: int | None) -> Batch:
        """Pad as the model's tokenizer does."""
        return self.collator(rows, pad_to)


def choose_inputs(
    artifact: str | None, task: str, config: PreTrainedConfig, median_length: float, seed: int
) -> Inputs:
    """Return the evaluation split of an artifact if its data are available, else random inputs.

    Args:
        artifact: Its folder; None for a shape.
        task: A key of `TASKS`.
        config: The model's config.
        median_length: Of random inputs; see `DrawnInputs`.
        seed: Seed of random inputs, and of the choice of inputs from the split.

    Raises:
        UserError: If the data are not available and the task is multiple choice, whose number of choices
            and shared text cannot be made up.
    """
    drawn = DrawnInputs(config, median_length, seed)
    if artifact is None:
        return drawn
    try:
        return SplitInputs(Subject(artifact, seed=seed))
    except UserError as error:
        if task == "multiple_choice":
            raise
        log.warning("the artifact's dataset is not available, so inputs are drawn at random: %s", error)
        return drawn
