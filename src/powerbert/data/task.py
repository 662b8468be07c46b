"""What is predicted from which columns: the task, its labels, and the source of its rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from omegaconf import OmegaConf

from powerbert.base.checks import check_choice
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, shorten

if TYPE_CHECKING:
    from datasets import DatasetDict

Kind = Literal["sequence_classification", "multiple_choice", "reranking"]
EvaluationSplit = Literal["dev", "test"]

CLASS_METRICS = ("accuracy", "f1", "matthews_correlation")
REGRESSION_METRICS = ("spearman", "pearson")
RANKING_METRICS = ("ndcg@10", "mrr@10")

LOCATION_KEYS = frozenset({"archive", "cache", "folder"})
"""Settings of a data source that say where its files lie."""


class Source(Protocol):
    """Where the rows of a dataset come from; instantiated by Hydra from `dataset.source`.

    Every method raises DataError, naming what is missing or the file and row that are invalid. A source whose
    test split has labels only sometimes also has `has_labelled_test() -> bool`.
    """

    def available(self) -> None:
        """Check within seconds that the dataset can be loaded."""

    def fingerprint(self) -> str:
        """Name the content; other rows give another name."""
        ...

    def load(self) -> "DatasetDict":
        """Load the splits that exist of train, dev and test.

        Each has the task's text columns and, where labelled, `label`: the class index, or a number.
        """
        ...


@dataclass(frozen=True)
class Task:
    """A dataset's task, as `conf/dataset/<name>.yaml` states it; ConfigError names an invalid key.

    Attributes:
        name: The dataset's name, as in the record.
        text_columns: One column of texts, or two for pairs. For multiple choice the first holds a text,
            the second a list of texts, one per choice; for reranking a query and a passage.
        label_names: The classes in the order of their index (the choices' letters for multiple choice);
            None for regression. For reranking the names of the grades 0, 1, ... or None for numbers.
        metric: Selects the epoch and is reported.
        max_length: l, the number of word pieces beyond which an input is truncated, or `auto` for the
            length rule of section 3.1.
        evaluation_split: The labelled split whose metric is reported; dev always selects the epoch.
    """

    name: str
    text_columns: tuple[str, ...]
    label_names: tuple[str, ...] | None
    metric: str
    max_length: int | Literal["auto"]
    evaluation_split: EvaluationSplit = "dev"
    kind: Kind = "sequence_classification"

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_choice("dataset.kind", self.kind, get_args(Kind))
        check_choice("dataset.evaluation_split", self.evaluation_split, get_args(EvaluationSplit))
        metrics = REGRESSION_METRICS if self.is_regression else CLASS_METRICS
        if self.is_reranking:
            metrics = RANKING_METRICS
        if self.metric not in metrics:
            raise ConfigError(
                f"dataset.metric: '{self.metric}' does not fit; choose one of {', '.join(metrics)}"
            )
        columns, names = self.text_columns, self.label_names
        fewest, needed = 1, "one column, or two for pairs"
        if self.is_multiple_choice or self.is_reranking:
            fewest = 2
            needed = f"two columns ({'query, passage' if self.is_reranking else 'text, choices'})"
        if not fewest <= len(columns) <= 2 or len(set(columns)) < len(columns):
            raise ConfigError(f"dataset.text_columns: {list(columns)} must be {needed}")
        if self.is_multiple_choice and names is None:
            raise ConfigError("dataset.label_names: multiple choice needs the names of the choices")
        if names is not None and (len(names) < 2 or len(set(names)) < len(names)):
            raise ConfigError(f"dataset.label_names: {list(names)} must be at least two different names")
        length = self.max_length
        if length != "auto" and (isinstance(length, bool) or not isinstance(length, int) or length < 3):
            raise ConfigError(
                f"dataset.max_length: {length!r} must be 'auto' or a whole number of at least 3"
            )

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any], source: Source | None = None) -> "Task":
        """Read the task from the node `dataset`, except its `source`.

        Args:
            source: Resolves `evaluation_split: auto`: test where its test split has labels, else dev.
                Without a source, `auto` is dev.

        Raises:
            ConfigError: Naming the key of an invalid value.
            DataError: If the source's files cannot be read.
        """
        split = cfg["evaluation_split"]
        if split == "auto":
            has_labelled_test = getattr(source, "has_labelled_test", lambda: False)
            split = "test" if has_labelled_test() else "dev"
        names = cfg["label_names"]
        return cls(
            name=str(cfg["name"]),
            text_columns=tuple(str(column) for column in cfg["text_columns"]),
            label_names=None if names is None else tuple(str(name) for name in names),
            metric=cfg["metric"],
            max_length=cfg["max_length"],
            evaluation_split=split,
            kind=cfg["kind"],
        )

    @property
    def is_regression(self) -> bool:
        """Whether the label is a number rather than a class or a grade."""
        return self.label_names is None and not self.is_reranking

    @property
    def is_reranking(self) -> bool:
        """Whether the label is a passage's grade of relevance to a query: 0 for none."""
        return self.kind == "reranking"

    @property
    def is_multiple_choice(self) -> bool:
        """Whether each row holds several sequences, of which one is right."""
        return self.kind == "multiple_choice"

    @property
    def num_labels(self) -> int:
        """Number of classes (of choices for multiple choice); 1 for regression and reranking."""
        return 1 if self.label_names is None or self.is_reranking else len(self.label_names)

    @property
    def num_choices(self) -> int:
        """Number of sequences that make one input: 1 unless the task is multiple choice."""
        return self.num_labels if self.is_multiple_choice else 1

    def model_fields(self) -> dict[str, Any]:
        """Return the fields of a transformers configuration that describe the head."""
        if self.is_reranking:  # transformers' name for a binary cross entropy
            return {"num_labels": 1, "problem_type": "multi_label_classification"}
        if self.label_names is None:
            return {"num_labels": 1, "problem_type": "regression"}
        names = dict(enumerate(self.label_names))
        fields: dict[str, Any] = {
            "id2label": names,
            "label2id": {name: index for index, name in names.items()},
        }
        if not self.is_multiple_choice:
            fields["problem_type"] = "single_label_classification"
        return fields

    def influence(self) -> dict[str, Any]:
        """Return what changes a trained model or its metrics, for an artifact's address."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


class LabelParser:
    """Convert a label as users write it: a class by its name or its index, or a number.

    Attributes:
        feature: Type of the label's column: int64 for classes, float64 for regression.
    """

    def __init__(self, names: Sequence[str] | None):
        """Set the classes in the order of their index; None for regression.

        A label may also be the index, unless a name is itself a whole number: then labels are names only.
        """
        from datasets import Value  # heavy

        self.names = None if names is None else tuple(str(name) for name in names)
        self.feature = Value("float64" if names is None else "int64")
        indices = {name: index for index, name in enumerate(self.names or ())}
        if not any(name.lstrip("-").isdecimal() for name in indices):
            indices = {str(index): index for index in indices.values()} | indices
        self._indices = indices

    def __call__(self, value: Any) -> int | float:
        """Return the index of the class, or the finite number of a regression.

        Args:
            value: Text, number, truth value or None, as a file holds it.

        Raises:
            ValueError: With a message for the user, if the label is invalid.
        """
        return self._number(value) if self.names is None else self._index(value, ", ".join(self.names))

    def _index(self, value: Any, names: str) -> int:
        text = str(value).strip()
        whole = isinstance(value, float) and value.is_integer()
        if whole or (isinstance(value, bool) and text not in self._indices):
            text = str(int(value))
        if value is None or not text:
            raise ValueError(f"is missing ({names})")
        if text not in self._indices:
            raise ValueError(f"'{shorten(text)}' is not among the classes ({names})")
        return self._indices[text]

    @staticmethod
    def _number(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            problem = "is missing" if value in (None, "") else f"'{shorten(value)}' is not a finite number"
            raise ValueError(f"{problem}; dataset.label_names=null needs one in every row")
        return number


def packaged_source(name: str, cache: str | Path = "") -> dict[str, Any]:
    """Read the node `source` of a yaml in `conf/dataset`, outside a composed configuration.

    Args:
        cache: Folder for files that have to be fetched.

    Returns:
        The node, resolved; empty if there is no such yaml.
    """
    yamls = {path.stem: path for path in (CONFIG_FOLDER / "dataset").glob("*.yaml")}
    if name not in yamls:
        return {}
    cfg = OmegaConf.create({"paths": {"cache": str(cache)}, "dataset": OmegaConf.load(yamls[name])})
    return OmegaConf.to_container(cfg, resolve=True)["dataset"]["source"]  # type: ignore[index, call-overload, return-value]
