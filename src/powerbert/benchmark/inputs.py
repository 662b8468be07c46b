"""Batches to time on: inputs of a dataset, or random inputs with realistic lengths."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig

from powerbert.base.errors import UserError
from powerbert.benchmark.pair import Pair
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


@dataclass(frozen=True)
class Inputs:
    """A source of inputs.

    Attributes:
        description: Where they come from, in one line.
        rows: Returns, for a length and a count, at most `count` inputs of at most `length` word pieces.
        collate: Makes a batch of rows, padded to a number of word pieces or, with None, to the longest row.
    """

    description: str
    rows: Callable[[int, int], Rows]
    collate: Callable[[list[Any], int | None], Batch]

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


def drawn_inputs(config: PreTrainedConfig, median_length: float, seed: int) -> Inputs:
    """Draw random words; the number of words follows a log-normal distribution.

    One input in a hundred would exceed the padded length: the rule by which the paper chose that length
    (section 3.1). Its median is `median_length`, a share of the padded length, above 0 and at most 1.
    """

    def rows(length: int, count: int) -> Rows:
        random = np.random.default_rng([seed, length])
        sigma = math.log(1 / median_length) / NormalDist().inv_cdf(0.99)
        lengths = random.lognormal(math.log(median_length * length), sigma, count).round().astype(int)
        return [
            {"input_ids": random.integers(config.vocab_size, size=size).tolist()}
            for size in lengths.clip(min(3, length), length)
        ]

    def collate(rows: list[Any], pad_to: int | None) -> Batch:
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        mask = torch.arange(pad_to or int(lengths.max())) < lengths[:, None]
        input_ids = torch.full(mask.shape, config.pad_token_id or 0)
        input_ids[mask] = torch.tensor([word for row in rows for word in row["input_ids"]])
        batch = {"input_ids": input_ids, "attention_mask": mask.long()}
        if getattr(config, "type_vocab_size", 0) > 1:
            batch["token_type_ids"] = torch.zeros_like(input_ids)
        return batch

    description = (
        f"words drawn at random (seed {seed}); lengths log-normal, with a median of {median_length:.0%} "
        "of the padded length, which one in a hundred fills"
    )
    return Inputs(description, rows, collate)


def split_inputs(subject: Subject) -> Inputs:
    """Draw from the split that an artifact was evaluated on; raise a UserError if it is not available."""
    task, tokenizer = subject.task, load_tokenizer(subject.folder)
    description = f"{task.name}: drawn from the {len(subject.sample())} inputs of {task.evaluation_split}"

    def rows(length: int, count: int) -> Rows:
        return tokenize(subject.sample(count), task, tokenizer, length)

    return Inputs(description, rows, PaddingCollator(tokenizer, task))


def choose_inputs(artifact: str | None, pair: Pair, median_length: float, seed: int) -> Inputs:
    """Return the evaluation split of an artifact if its data are available, else random inputs.

    Inputs of several choices cannot be made up: without their data a UserError is raised.
    """
    if artifact is not None:
        try:
            return split_inputs(Subject(artifact, seed=seed))
        except UserError as error:
            if pair.task == "multiple_choice":
                raise
            log.warning("the artifact's dataset is not available, so inputs are drawn at random: %s", error)
    return drawn_inputs(pair.config, median_length, seed)
