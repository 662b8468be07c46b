"""A trained model that labels texts."""

from collections.abc import Iterable
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor

from powerbert.base.environment import default_device
from powerbert.base.errors import ConfigError, ModelError
from powerbert.data import PaddingCollator, Task, load_texts, tokenize
from powerbert.measure.evaluation import decide, predict_logits, thresholds_of
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
        folder: The artifact, or the model.
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
        self.folder = Path(folder)
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
            self.task = _plain_task(self.folder, model, self.max_length)
        self._is_plain = artifact is None
        thresholds_of(model)  # refuses invalid ones before anything is predicted

    def take(self, parts: int) -> None:
        """Take inputs of one text or of two from now on; no effect on an artifact, whose manifest says it."""
        if self._is_plain:
            self.task = _plain_task(self.folder, self.model, self.max_length, pairs=parts == 2)

    @cached_property
    def _fastest(self) -> Any:
        """The fastest form of the model, made on first use: many callers only need `model`."""
        return pack_linear_layers(self.model) if can_pack_linear_layers(self.model) else self.model

    def __call__(
        self, texts: Iterable[Texts], description: str | None = "Predicting"
    ) -> list[dict[str, Any]]:
        """Label texts.

        Args:
            description: As of `predict_logits`.

        Returns:
            One prediction per text, in order: `label`, `score` (its probability) and `scores` of all labels;
            for multi-label classification `labels`, those whose probability reaches their threshold, and
            `scores`; for regression `value`; for reranking, and another single logit that is no regression's,
            `score` alone, the sigmoid of the logit.

        Raises:
            DataError: If a text has the wrong number of parts; the message gives its number.
        """
        given = list(texts)
        if not given:
            return []
        self.take(1 if isinstance(given[0], str) else len(given[0]))
        return [self._prediction(logits) for logits in self.logits(load_texts(given, self.task), description)]

    def logits(self, rows: Dataset, description: str | None = "Predicting") -> Tensor:
        """Return the logits of at least one row with the task's text columns, as of `predict_logits`."""
        encoded = tokenize(rows, self.task, self.tokenizer, self.max_length)
        collate = PaddingCollator(self.tokenizer, self.task)
        return predict_logits(self._fastest, encoded, collate, self.batch_size, description)

    def _prediction(self, logits: Tensor) -> dict[str, Any]:
        names = self.task.label_names or tuple(self.model.config.id2label.values())
        if self.model.config.problem_type == "regression":
            values = dict(zip(names, logits.tolist(), strict=True))
            return {"value": logits.item()} if len(names) == 1 else {"values": values}
        if len(logits) == 1:  # of large logits only double precision tells the sigmoids apart
            return {"score": logits.double().sigmoid().item()}
        if self.task.is_multi_label:
            has = decide(logits, self.task, thresholds_of(self.model)).tolist()
            scores = dict(zip(names, logits.sigmoid().tolist(), strict=True))
            return {"labels": list(compress(names, has)), "scores": scores}
        scores = dict(zip(names, logits.softmax(-1).tolist(), strict=True))
        label = max(scores, key=scores.__getitem__)
        return {"label": label, "score": scores[label], "scores": scores}


def _plain_task(folder: Path, model: Any, max_length: int, *, pairs: bool | None = None) -> Task:
    """Derive the task of a Hugging Face classifier without a manifest: one text and the config's labels.

    The config's `problem_type` says what logits mean, as in transformers' pipeline. A single output that was
    trained with a binary cross entropy, or of which nothing is said, is a reranker's, unless inputs are known
    to be no `pairs`.
    """
    if type(model).__name__.endswith("ForMultipleChoice"):
        raise ModelError(
            f"model folder {folder}: a multiple-choice model does not say how many choices it takes; "
            f"give an artifact, whose {MANIFEST} does"
        )
    name, count, problem = folder.resolve().name, model.config.num_labels, model.config.problem_type
    columns = ("text", "text_pair") if pairs else ("text",)
    if count == 1 and problem != "regression" and pairs is not False:
        return Task(name, ("query", "passage"), None, "ndcg@10", max_length, kind="reranking")
    if count == 1 or problem == "regression":
        return Task(name, columns, None, "spearman", max_length)
    labels = tuple(model.config.id2label[index] for index in range(count))
    if problem == "multi_label_classification":
        return Task(name, columns, labels, "micro_f1", max_length, kind=problem)
    return Task(name, columns, labels, "accuracy", max_length)
