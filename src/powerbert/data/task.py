"""What is to be predicted from which columns, and how it is judged."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from powerbert.base.errors import ConfigError
from powerbert.data.source import Source

Kind = Literal["sequence_classification", "multiple_choice"]
EvaluationSplit = Literal["dev", "test"]

CLASS_METRICS = ("accuracy", "f1", "matthews_correlation")
REGRESSION_METRICS = ("spearman", "pearson")


@dataclass(frozen=True)
class Task:
    """A dataset's task, as `conf/dataset/<name>.yaml` states it.

    Attributes:
        name: of the dataset, as in the record.
        text_columns: one column of texts, or two for pairs. For multiple choice the first holds a text,
            the second a list of texts, one per choice.
        label_names: the classes in the order of their index (the choices' letters for multiple choice);
            None for regression.
        metric: selects the epoch and is reported.
        max_length: l, the number of word pieces beyond which an input is truncated, or `auto` for the
            length rule of section 3.1.
        evaluation_split: the labelled split whose metric is reported; dev selects the epoch in any case.
        kind: `sequence_classification` (regression included) or `multiple_choice`.
    """

    name: str
    text_columns: tuple[str, ...]
    label_names: tuple[str, ...] | None
    metric: str
    max_length: int | Literal["auto"]
    evaluation_split: EvaluationSplit = "dev"
    kind: Kind = "sequence_classification"

    def __post_init__(self) -> None:
        """Refuses what cannot be meant.

        Raises:
            ConfigError: naming the key.
        """
        _one_of("kind", self.kind, get_args(Kind))
        _one_of("evaluation_split", self.evaluation_split, get_args(EvaluationSplit))
        _one_of("metric", self.metric, REGRESSION_METRICS if self.is_regression else CLASS_METRICS)
        columns = len(self.text_columns)
        if (
            columns not in ((2,) if self.is_multiple_choice else (1, 2))
            or len(set(self.text_columns)) != columns
        ):
            needed = (
                "two columns (text, choices)" if self.is_multiple_choice else "one column, or two for pairs"
            )
            raise ConfigError(f"dataset.text_columns: {list(self.text_columns)} must be {needed}")
        if self.is_multiple_choice and self.is_regression:
            raise ConfigError("dataset.label_names: multiple choice needs the names of the choices")
        if self.label_names is not None and (
            len(self.label_names) < 2 or len(set(self.label_names)) < len(self.label_names)
        ):
            raise ConfigError(
                f"dataset.label_names: {list(self.label_names)} must be at least two different names"
            )
        length = self.max_length
        if length != "auto" and (isinstance(length, bool) or not isinstance(length, int) or length < 3):
            raise ConfigError(
                f"dataset.max_length: {length!r} must be 'auto' or a whole number of at least 3"
            )

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any], source: Source | None = None) -> "Task":
        """Read the task from a dataset's configuration.

        Args:
            cfg: The node `dataset`; its `source` is not read.
            source: Resolves `evaluation_split: auto`: test where its test split has labels, else dev.
                Without a source, `auto` is dev.

        Raises:
            ConfigError: naming the key whose value is wrong.
            DataError: if the source's files cannot be read.
        """
        split = cfg["evaluation_split"]
        if split == "auto":
            has_labelled_test = getattr(source, "has_labelled_test", None)
            split = "test" if has_labelled_test is not None and has_labelled_test() else "dev"
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
        """Whether the label is a number rather than a class."""
        return self.label_names is None

    @property
    def is_multiple_choice(self) -> bool:
        """Whether each row holds several sequences, of which one is right."""
        return self.kind == "multiple_choice"

    @property
    def num_labels(self) -> int:
        """Number of classes (of choices for multiple choice); 1 for regression."""
        return 1 if self.label_names is None else len(self.label_names)

    @property
    def num_choices(self) -> int:
        """Number of sequences that make one input: 1 unless the task is multiple choice."""
        return self.num_labels if self.is_multiple_choice else 1

    def model_fields(self) -> dict[str, Any]:
        """The fields of a transformers configuration that say what the head predicts."""
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
        """What of the task changes a trained model or its metrics, for an artifact's address."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


def _one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"dataset.{key}: '{value}' does not fit; choose one of {', '.join(choices)}")
