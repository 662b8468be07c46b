"""A trained model that labels texts."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from powerbert.base.device import default_device
from powerbert.base.errors import ModelError
from powerbert.base.progress import progress
from powerbert.data import (
    LengthSortedSampler,
    PaddingCollator,
    Task,
    load_texts,
    make_loader,
    row_lengths,
    tokenize,
)
from powerbert.models import (
    can_pack_linear_layers,
    load_model,
    load_tokenizer,
    longest_input,
    pack_linear_layers,
)
from powerbert.store.artifacts import MANIFEST, Artifact

Texts = tuple[Any, ...]


class Predictor:
    """A trained classifier or regressor, ready for texts.

    Attributes:
        model: in evaluation mode, on the accelerator if there is one.
        tokenizer: of the model.
        task: which text columns an input has and what the labels are called.
        max_length: word pieces beyond which an input is truncated.
    """

    def __init__(self, folder: Path | str, batch_size: int = 32):
        """Loads an artifact.

        Args:
            folder: an artifact, or a plain Hugging Face classifier of a supported model type.
            batch_size: inputs per forward pass; batches hold inputs of like length.

        Raises:
            ModelError: if the folder holds no such model.
        """
        folder = Path(folder)
        manifest = Artifact.load(folder).manifest if (folder / MANIFEST).is_file() else None
        model: Any = load_model(folder)
        self.model = model.to(default_device())
        self.tokenizer = load_tokenizer(folder)
        self.batch_size = batch_size
        if manifest is not None:
            self.task = Task.from_config(manifest["config"]["dataset"])
            self.max_length = int(manifest["max_length"])
        else:
            self.max_length = min(self.tokenizer.model_max_length, longest_input(model.config))
            self.task = _plain_task(folder, model, self.max_length)

    @cached_property
    def _classify(self) -> Any:
        """The model as it labels texts fastest; made when first needed, for who only wants the model."""
        return pack_linear_layers(self.model) if can_pack_linear_layers(self.model) else self.model

    def __call__(self, texts: Iterable[Texts]) -> list[dict[str, Any]]:
        """Labels texts.

        Args:
            texts: each a tuple with the task's text columns in order.

        Returns:
            For each, in order, `label` and `score` (its probability) and `scores` of all labels; for
            regression `value`.

        Raises:
            DataError: naming the text that has not the task's number of parts.
        """
        given = list(texts)
        if not given:
            return []
        return [self._prediction(logits) for logits in self.logits(load_texts(given, self.task))]

    def logits(self, rows: Dataset) -> Tensor:
        """The model's outputs.

        Args:
            rows: at least one, with the task's text columns.

        Returns:
            Shape [rows, classes] ([rows, choices] for multiple choice, [rows, 1] for regression), in the
            order of `rows`, on the CPU.
        """
        encoded = tokenize(rows, self.task, self.tokenizer, self.max_length)
        sampler = LengthSortedSampler(row_lengths(encoded))
        collate = PaddingCollator(self.tokenizer, self.task)
        outputs = []
        with torch.inference_mode():
            for batch in progress(make_loader(encoded, collate, sampler, self.batch_size), "Predicting"):
                batch.pop("labels", None)
                inputs = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
                outputs.append(self._classify(**inputs).logits.float().cpu())
        by_length = torch.cat(outputs)
        logits = torch.empty_like(by_length)
        logits[list(sampler)] = by_length
        return logits

    def _prediction(self, logits: Tensor) -> dict[str, Any]:
        if self.task.label_names is None:
            return {"value": logits.item()}
        scores = dict(zip(self.task.label_names, logits.softmax(-1).tolist(), strict=True))
        label = max(scores, key=scores.__getitem__)
        return {"label": label, "score": scores[label], "scores": scores}


def _plain_task(folder: Path, model: Any, max_length: int) -> Task:
    """What a Hugging Face classifier without a manifest says of its task: one text, and its labels."""
    if type(model).__name__.endswith("ForMultipleChoice"):
        raise ModelError(
            f"model folder {folder}: a multiple-choice model does not say how many choices it takes; "
            f"give an artifact, whose {MANIFEST} does"
        )
    regression = model.config.num_labels == 1
    labels = tuple(model.config.id2label[index] for index in range(model.config.num_labels))
    return Task(
        folder.resolve().name,
        ("text",),
        None if regression else labels,
        "spearman" if regression else "accuracy",
        max_length,
    )
