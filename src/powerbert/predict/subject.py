"""What is analysed: a trained model with the inputs of a dataset."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor
from transformers import PreTrainedModel

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.base.progress import progress
from powerbert.data import (
    LengthSortedSampler,
    PaddingCollator,
    Task,
    make_loader,
    row_lengths,
    tokenize,
)
from powerbert.predict.predictor import Predictor
from powerbert.store.artifacts import MANIFEST, Artifact


class Subject:
    """A trained model and the inputs that it is analysed on; each is loaded when first asked for.

    Everything here raises `UserError`s: `ConfigError` for a setting that cannot be meant, `ModelError` for a
    folder that holds no model, `DataError` for rows that cannot be had.
    """

    def __init__(
        self,
        artifact: str | None,
        dataset: Mapping[str, Any] | None = None,
        split: str | None = None,
        limit: int | None = None,
        seed: int = 42,
        batch_size: int = 32,
    ):
        """Takes the settings; nothing is read yet.

        Args:
            artifact: an artifact folder, or that of any Hugging Face classifier of a supported model type.
            dataset: as in `conf/dataset`; None for the one that the artifact was trained on.
            split: of the dataset; None for its evaluation split.
            limit: draws that many inputs at random; None takes all.
            seed: of the draw.
            batch_size: inputs of a batch.
        """
        self.artifact = artifact
        self.dataset = dataset
        self.split = split
        self.limit = limit
        self.seed = seed
        self.batch_size = batch_size

    @cached_property
    def folder(self) -> Path:
        """The model's folder."""
        if not isinstance(self.artifact, str):
            raise ConfigError(
                "artifact: this analysis takes the folder of one trained model, artifact=<folder>"
            )
        if not Path(self.artifact).is_dir():
            raise ModelError(f"artifact: there is no folder {self.artifact}")
        return Path(self.artifact)

    @cached_property
    def predictor(self) -> Predictor:
        """Labels texts with the model."""
        return Predictor(self.folder, self.batch_size)

    @property
    def model(self) -> PreTrainedModel:
        """The model in evaluation mode, on the accelerator if there is one."""
        return self.predictor.model

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The dataset's settings: those given, or those that the artifact was trained with."""
        if self.dataset is not None:
            return self.dataset
        if not (self.folder / MANIFEST).is_file():
            raise ConfigError(f"dataset: {self.folder} has no {MANIFEST} that names one; give dataset=<name>")
        return Artifact.load(self.folder).manifest["config"]["dataset"]

    @cached_property
    def task(self) -> Task:
        """The dataset's task."""
        return Task.from_config(self.settings)

    @property
    def max_length(self) -> int:
        """l, the word pieces beyond which an input is truncated: as the model was trained."""
        return self.predictor.max_length

    def sample(self, limit: int | None = None) -> Dataset:
        """Rows of the split, drawn at random and kept in their order.

        Args:
            limit: how many at most; the subject's own limit holds as well.
        """
        given = self.limit
        if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
            raise ConfigError(
                f"limit: {given!r} must be a whole number of at least 1, or null for all inputs"
            )
        rows = self._rows
        count = min(bound for bound in (len(rows), given, limit) if bound is not None)
        if count == len(rows):
            return rows
        return rows.select(np.sort(np.random.default_rng(self.seed).permutation(len(rows))[:count]))

    @cached_property
    def encoded(self) -> Dataset:
        """The sample's rows as word pieces."""
        return tokenize(self.sample(), self.task, self.predictor.tokenizer, self.max_length)

    @property
    def longest(self) -> int:
        """Word pieces of the longest input, after truncation."""
        return min(int(row_lengths(self.encoded).max()), self.max_length)

    def batches(self, description: str) -> Iterator[dict[str, Tensor]]:
        """The sample in batches of like length, on the model's device, with a progress bar on a terminal.

        Args:
            description: of the bar.

        Yields:
            `input_ids`, `attention_mask` and so on of shape [S, N]: S sequences, which are the inputs, or for
            multiple choice all choices of the first input, then those of the second, and so on.
        """
        sampler = LengthSortedSampler(row_lengths(self.encoded))
        collate = PaddingCollator(self.predictor.tokenizer, self.task)
        loader = make_loader(self.encoded, collate, sampler, self.batch_size)
        for batch in progress(loader, description):
            batch.pop("labels", None)
            yield {key: value.flatten(0, -2).to(self.model.device) for key, value in batch.items()}

    @property
    def title(self) -> str:
        """Model and inputs in one line, for a figure."""
        inputs = f"{len(self.encoded)} inputs of {self._split}"
        return f"{self.name}: {self.task.name}, {inputs}"

    @cached_property
    def name(self) -> str:
        """The model's name for people, with the stage that it comes from."""
        if not (self.folder / MANIFEST).is_file():
            return self.folder.resolve().name
        manifest = Artifact.load(self.folder).manifest
        return f"{manifest['config']['model']['name']} ({manifest['identity']['stage']})"

    def _check_source(self) -> None:
        """A manifest may come from anywhere, and instantiating what it names would run it."""
        target = self.settings["source"].get("_target_")
        yamls = (CONFIG_FOLDER / "dataset").glob("*.yaml")
        if target not in {OmegaConf.load(yaml).source._target_ for yaml in yamls}:
            raise ConfigError(
                f"dataset: {self.folder / MANIFEST} names {target!r} as its source, which no yaml of "
                "conf/dataset does; if you trust it, give the dataset yourself, dataset=<name>"
            )

    @property
    def _split(self) -> str:
        return self.split or self.task.evaluation_split

    @cached_property
    def _rows(self) -> Dataset:
        if self.dataset is None:
            self._check_source()
        source = instantiate(self.settings["source"], _recursive_=False)
        source.available()
        splits = source.load()
        if self._split not in splits:
            raise DataError(
                f"dataset '{self.task.name}' has no split '{self._split}'; it has {', '.join(splits)}"
            )
        rows = splits[self._split]
        if len(rows) == 0:
            raise DataError(f"dataset '{self.task.name}': split '{self._split}' has no rows")
        return rows
