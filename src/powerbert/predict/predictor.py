"""A trained model that labels texts."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor

from powerbert.base.environment import default_device
from powerbert.base.errors import ConfigError, ModelError
from powerbert.data import PaddingCollator, Task, load_texts, tokenize
from powerbert.measure.evaluation import predict_logits
from powerbert.models import (
    as_power_model,
    can_pack_linear_layers,
    load_model,
    load_tokenizer,
    pack_linear_layers,
)
from powerbert.store.artifacts import MANIFEST, Artifact

Texts = tuple[Any, ...]
"""One input: the task's text columns in order; for multiple choice the second is a list of texts."""


class Predictor:
    """A trained classifier or regressor with its tokenizer and task.

    Attributes:
        model: In evaluation mode, on the accelerator if there is one.
        task: The text columns of an input and the names of the labels.
        max_length: Word pieces at which an input is truncated.
    """

    def __init__(
        self,
        folder: Path | str,
        batch_size: int = 32,
        *,
        cls_alone: bool = False,
        speed: float | None = None,
    ):
        """Load an artifact, or a plain Hugging Face classifier of a supported model type.

        With ``cls_alone`` the last encoder computes [CLS] alone, which leaves the logits as they are.
        ``speed`` is for a model with several; see its ``set_speed``.

        Raises:
            ConfigError: If the model does not reach the speed.
            ModelError: If the folder holds no such model.
        """
        artifact = Artifact.find(folder)
        model: Any = load_model(folder)
        if cls_alone:
            model = as_power_model(model, cls_alone=True)
        if speed is not None:
            if not getattr(model, "speeds", ()):
                raise ConfigError(f"speed: {folder} has one speed only; train with method=elastic")
            model.set_speed(speed)
        self.model = model.to(default_device())
        self.tokenizer = load_tokenizer(folder)
        self.batch_size = batch_size
        if artifact is not None:
            self.task = Task.from_config(artifact.manifest["config"]["dataset"])
            self.max_length = int(artifact.manifest["max_length"])
        else:
            self.max_length = self.tokenizer.model_max_length
            self.task = _plain_task(Path(folder), model, self.max_length)

    @cached_property
    def _fastest(self) -> Any:
        """The fastest form of the model, made on first use: many callers only need `model`."""
        return pack_linear_layers(self.model) if can_pack_linear_layers(self.model) else self.model

    def __call__(self, texts: Iterable[Texts]) -> list[dict[str, Any]]:
        """Label texts.

        Returns:
            One prediction per text, in order: `label`, `score` (its probability) and `scores` of all labels;
            for regression `value`; for reranking `score` alone, the sigmoid of the logit.

        Raises:
            DataError: If a text has the wrong number of parts; the message gives its number.
        """
        given = list(texts)
        if not given:
            return []
        return [self._prediction(logits) for logits in self.logits(load_texts(given, self.task))]

    def logits(self, rows: Dataset) -> Tensor:
        """Return the logits of at least one row with the task's text columns, as of `predict_logits`."""
        encoded = tokenize(rows, self.task, self.tokenizer, self.max_length)
        collate = PaddingCollator(self.tokenizer, self.task)
        return predict_logits(self._fastest, encoded, collate, self.batch_size)

    def _prediction(self, logits: Tensor) -> dict[str, Any]:
        if self.task.is_reranking:  # of large logits only double precision tells the sigmoids apart
            return {"score": logits.double().sigmoid().item()}
        if self.task.label_names is None:
            return {"value": logits.item()}
        scores = dict(zip(self.task.label_names, logits.softmax(-1).tolist(), strict=True))
        label = max(scores, key=scores.__getitem__)
        return {"label": label, "score": scores[label], "scores": scores}


def _plain_task(folder: Path, model: Any, max_length: int) -> Task:
    """Derive the task of a Hugging Face classifier without a manifest: one text and the config's labels.

    A single output that was trained with a binary cross entropy is a reranker's.
    """
    if type(model).__name__.endswith("ForMultipleChoice"):
        raise ModelError(
            f"model folder {folder}: a multiple-choice model does not say how many choices it takes; "
            f"give an artifact, whose {MANIFEST} does"
        )
    name, count = folder.resolve().name, model.config.num_labels
    if count == 1 and model.config.problem_type == "multi_label_classification":
        return Task(name, ("query", "passage"), None, "ndcg@10", max_length, kind="reranking")
    if count == 1:
        return Task(name, ("text",), None, "spearman", max_length)
    labels = tuple(model.config.id2label[index] for index in range(count))
    return Task(name, ("text",), labels, "accuracy", max_length)
