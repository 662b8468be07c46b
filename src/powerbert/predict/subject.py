"""A trained model together with the inputs of a dataset."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor
from transformers import PreTrainedModel

from powerbert.base.checks import check_artifact, check_whole
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError
from powerbert.base.progress import progress
from powerbert.data import (
    LengthSortedSampler,
    PaddingCollator,
    Source,
    Task,
    make_loader,
    row_lengths,
    tokenize,
)
from powerbert.data.task import AUTO
from powerbert.predict.predictor import Predictor
from powerbert.store.artifacts import MANIFEST, Artifact


@dataclass(eq=False)
class Subject:
    """A trained model and the inputs it is analysed or measured on; each part is loaded on first use.

    Loading raises ConfigError for an invalid setting, ModelError for a folder without a model, and DataError
    for rows that are missing or invalid.

    Attributes:
        artifact: An artifact, or the folder of any Hugging Face classifier of a supported model type.
        dataset: Settings as in `conf/dataset`; None for the dataset that the artifact was trained on.
        split: A split of the dataset; None for its evaluation split.
        limit: The number of inputs to draw at random; None for all.
        seed: Seed of the draw.
        cls_alone: As of `Predictor`; so ``speed``.
    """

    artifact: str | None
    dataset: Mapping[str, Any] | None = None
    split: str | None = None
    limit: int | None = None
    seed: int = 42
    batch_size: int = 32
    cls_alone: bool = False
    speed: float | None = None

    @cached_property
    def folder(self) -> Path:
        """The model's folder."""
        check_artifact(self.artifact)
        return Path(str(self.artifact))

    @cached_property
    def predictor(self) -> Predictor:
        """The model with its tokenizer and the task that it was trained for."""
        return Predictor(self.folder, self.batch_size, cls_alone=self.cls_alone, speed=self.speed)

    @property
    def model(self) -> PreTrainedModel:
        """The model in evaluation mode, on the accelerator if there is one."""
        return self.predictor.model

    @property
    def max_length(self) -> int:
        """Word pieces at which an input is truncated, as in the model's training."""
        return self.predictor.max_length

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The artifact's manifest; None for a plain classifier."""
        artifact = Artifact.find(self.folder)
        return None if artifact is None else artifact.manifest

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The dataset's settings: those given, or those the artifact was trained with."""
        if self.dataset is not None:
            return self.dataset
        if self.manifest is None:
            raise ConfigError(f"dataset: {self.folder} has no {MANIFEST} that names one; give dataset=<name>")
        return self.manifest["config"]["dataset"]

    @cached_property
    def source(self) -> Source:
        """The dataset's source; if only the manifest names it, which is untrusted, one of `conf/dataset`."""
        target = self.settings["source"].get("_target_")
        yamls = (CONFIG_FOLDER / "dataset").glob("*.yaml")
        known = (OmegaConf.load(yaml).source._target_ for yaml in yamls)
        if self.dataset is None and target not in known:
            raise ConfigError(
                f"dataset: {self.folder / MANIFEST} names {target!r} as its source, which no yaml of "
                "conf/dataset does; if you trust it, give the dataset yourself, dataset=<name>"
            )
        return instantiate(self.settings["source"], _recursive_=False)

    @cached_property
    def task(self) -> Task:
        """The dataset's task; its source is asked only to resolve what is `auto`."""
        automatic = AUTO in (self.settings["evaluation_split"], self.settings["label_names"])
        return Task.from_config(self.settings, self.source if automatic else None)

    @property
    def split_name(self) -> str:
        """The name of the split that the inputs come from."""
        return self.split or self.task.evaluation_split

    @cached_property
    def rows(self) -> Dataset:
        """All rows of the split."""
        self.source.available()
        splits, where = self.source.load(), f"dataset '{self.task.name}'"
        if self.split_name not in splits:
            raise DataError(f"{where} has no split '{self.split_name}'; its splits are {', '.join(splits)}")
        rows = splits[self.split_name]
        if len(rows) == 0:
            raise DataError(f"{where}: split '{self.split_name}' has no rows")
        return rows

    def sample(self, limit: int | None = None) -> Dataset:
        """Draw rows of the split at random, at most `limit` and the subject's own limit; keep their order."""
        check_whole("limit", self.limit, optional=True)
        count = min(bound for bound in (len(self.rows), self.limit, limit) if bound is not None)
        if count == len(self.rows):
            return self.rows
        drawn = np.random.default_rng(self.seed).permutation(len(self.rows))[:count]
        return self.rows.select(np.sort(drawn))

    @cached_property
    def encoded(self) -> Dataset:
        """The sampled rows as word pieces."""
        return tokenize(self.sample(), self.task, self.predictor.tokenizer, self.max_length)

    def check_labelled(self) -> None:
        """Raise DataError if the split has no labels."""
        if "label" not in self.encoded.column_names:
            raise DataError(
                f"split '{self.split_name}' of dataset '{self.task.name}' has no labels; choose another split"
            )

    @property
    def longest(self) -> int:
        """Word pieces of the longest input, after truncation."""
        return min(int(row_lengths(self.encoded).max()), self.max_length)

    @cached_property
    def collate(self) -> PaddingCollator:
        """The collator that makes batches of the encoded rows."""
        return PaddingCollator(self.predictor.tokenizer, self.task)

    def batches(self, description: str) -> Iterator[dict[str, Tensor]]:
        """Iterate over the sample in batches of similar length on the model's device, with a progress bar.

        Yields:
            `input_ids`, `attention_mask` and so on, [S, N]. The S sequences are the inputs; for multiple
            choice they are all choices of the first input, then all of the second, and so on.
        """
        sampler = LengthSortedSampler(row_lengths(self.encoded))
        for batch in progress(make_loader(self.encoded, self.collate, sampler, self.batch_size), description):
            batch.pop("labels", None)
            yield {key: value.flatten(0, -2).to(self.model.device) for key, value in batch.items()}

    @property
    def name(self) -> str:
        """The model's name with the stage that trained it, for people."""
        if self.manifest is None:
            return self.folder.resolve().name
        return f"{self.manifest['config']['model']['name']} ({self.manifest['identity']['stage']})"

    @property
    def title(self) -> str:
        """Model and inputs in one line, for a figure."""
        return f"{self.name}: {self.task.name}, {len(self.encoded)} inputs of {self.split_name}"
