"""What is predicted from which columns: the task, its labels, and the source of its rows."""

import ast
import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from omegaconf import OmegaConf

from powerbert.base.checks import check_choice
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, shorten

if TYPE_CHECKING:
    from datasets import DatasetDict

log = logging.getLogger(__name__)

AUTO = "auto"
"""Value of settings that the data decide: `dataset.label_names`, `dataset.evaluation_split`."""

Kind = Literal["sequence_classification", "multi_label_classification", "multiple_choice", "reranking"]
EvaluationSplit = Literal["dev", "test"]

CLASS_METRICS = ("accuracy", "f1", "macro_f1", "matthews_correlation")
LABEL_METRICS = ("micro_f1", "macro_f1", "accuracy")
REGRESSION_METRICS = ("spearman", "pearson")
RANKING_METRICS = ("ndcg@10", "mrr@10")

LABEL_SEPARATOR = ","
"""Between the classes in a text that names several."""

LOCATION_KEYS = frozenset({"archive", "cache", "folder"})
"""Settings of a data source that say where its files lie."""


class Source(Protocol):
    """Where the rows of a dataset come from; instantiated by Hydra from `dataset.source`.

    Every method raises DataError, naming what is missing or the file and row that are invalid. A source whose
    test split has labels only sometimes also has `has_labelled_test() -> bool`, and one that can find the
    classes of train `class_names() -> tuple[str, ...]`.
    """

    def available(self) -> None:
        """Check within seconds that the dataset can be loaded."""

    def fingerprint(self) -> str:
        """Name the content; other rows give another name."""
        ...

    def load(self) -> "DatasetDict":
        """Load the splits that exist of train, dev and test.

        Each has the task's text columns and, where labelled, `label`: the class index, a number, or for
        multi-label classification a list with 0 or 1 for each class.
        """
        ...


@dataclass(frozen=True)
class Task:
    """A dataset's task, as `conf/dataset/<name>.yaml` states it; ConfigError names an invalid key.

    Attributes:
        name: The dataset's name, as in the record.
        text_columns: One column of texts, or two for pairs; further ones are joined to the second. For
            multiple choice the first holds a text, the second a list of texts, one per choice; for reranking
            a query and a passage.
        label_names: The classes in the order of their index (the choices' letters for multiple choice), of
            which a multi-label input has any number; None for regression. For reranking the names of the
            grades 0, 1, ... or None for numbers.
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
        columns, names = self.text_columns, self.label_names
        if self.is_multi_label and names is None:
            raise ConfigError(
                "dataset.label_names: multi-label classification needs the classes; with a column of 0 and 1 "
                "for each class give dataset.label_columns"
            )
        metrics = _metrics(self.kind, names)
        if self.metric not in metrics:
            raise ConfigError(
                f"dataset.metric: '{self.metric}' does not fit; choose one of {', '.join(metrics)}"
            )
        possible, needed = len(columns) > 0, "one or several different columns"
        if self.is_multiple_choice or self.is_reranking:
            possible = len(columns) == 2
            needed = f"two columns ({'query, passage' if self.is_reranking else 'text, choices'})"
        if not possible or len(set(columns)) < len(columns):
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

        With `label_columns`, the classes are their names. The metric `auto` is the first that fits the kind.

        Args:
            source: Resolves `evaluation_split: auto`: test where its test split has labels, else dev; and
                `label_names: auto`. Without a source, `auto` is dev and two classes of unknown names.

        Raises:
            ConfigError: Naming the key of an invalid value.
            DataError: If the source's files cannot be read.
        """
        split, names = cfg["evaluation_split"], cfg["label_names"]
        if split == AUTO:
            has_labelled_test = getattr(source, "has_labelled_test", lambda: False)
            split = "test" if has_labelled_test() else "dev"
        columns, kind = cfg.get("label_columns"), cfg["kind"]
        if columns is not None and kind != "multi_label_classification":
            raise ConfigError("dataset.label_columns: needs dataset.kind=multi_label_classification")
        given = cfg["label_names"] if columns is None else columns
        if given == AUTO:
            if source is not None and not hasattr(source, "class_names"):
                raise ConfigError(
                    "dataset.label_names: auto needs dataset=folder; give the names of the classes"
                )
            given = ("0", "1") if source is None else source.class_names()  # type: ignore[attr-defined]
        names = None if given is None else tuple(str(name) for name in given)
        return cls(
            name=str(cfg["name"]),
            text_columns=tuple(str(column) for column in cfg["text_columns"]),
            label_names=names,
            metric=_metrics(kind, names)[0] if cfg["metric"] == "auto" else cfg["metric"],
            max_length=cfg["max_length"],
            evaluation_split=split,
            kind=kind,
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
    def is_multi_label(self) -> bool:
        """Whether an input has any number of the classes."""
        return self.kind == "multi_label_classification"

    @property
    def has_binary_logits(self) -> bool:
        """Whether the sigmoid of each logit is a probability of its own."""
        return self.is_reranking or self.is_multi_label

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
            one = "single_label_classification"
            fields["problem_type"] = self.kind if self.is_multi_label else one
        return fields

    def influence(self) -> dict[str, Any]:
        """Return what changes a trained model or its metrics, for an artifact's address."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


def _metrics(kind: str, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the metrics by which a task may be judged, its default first."""
    of_kind = {"reranking": RANKING_METRICS, "multi_label_classification": LABEL_METRICS}
    return of_kind.get(kind, REGRESSION_METRICS if names is None else CLASS_METRICS)


WHOLE = re.compile(r"([+-]?\d+)\.0+")
"""A whole number as a float, `1.0`."""

TRUTH = {"false": "0", "true": "1"}


class LabelParser:
    """Convert a label as users write it: a class by its name or its index, or a number.

    Blanks around a label do not count, nor does case where no two names differ by it. `1.0` is also the class
    `1`, and true and false are also 1 and 0: the same label in any format of file is the same class.

    Attributes:
        key: What the conversion depends on, for a cache.
    """

    def __init__(self, names: Sequence[str] | None, hint: str = ""):
        """Set the classes in the order of their index; None for regression.

        A label may also be the index, unless a name is itself a whole number: then labels are names only.

        Args:
            hint: What to do about an unknown label, for messages.
        """

        self.names = None if names is None else tuple(str(name) for name in names)
        self.key: tuple[Any, ...] = (self.names,)
        self.hint = hint
        indices = {name: index for index, name in enumerate(self.names or ())}
        if not any(name.lstrip("-").isdecimal() for name in indices):
            indices = {str(index): index for index in indices.values()} | indices
        folded = [name.casefold() for name in indices]
        unique = {
            name.casefold(): index for name, index in indices.items() if folded.count(name.casefold()) == 1
        }
        self._indices = unique | indices

    @property
    def feature(self) -> Any:
        """Type of the label's column: int64 for classes, float64 for regression."""
        from datasets import Value  # heavy, here and below

        return Value("float64" if self.names is None else "int64")

    def __call__(self, value: Any) -> Any:
        """Return the index of the class, or the finite number of a regression.

        Args:
            value: Text, number, truth value or None, as a file holds it.

        Raises:
            ValueError: With a message for the user, if the label is invalid.
        """
        return self._number(value) if self.names is None else self._index(value, ", ".join(self.names))

    def _index(self, value: Any, names: str) -> int:
        text = "" if value is None else str(value).strip()
        if not text:
            raise ValueError(f"is missing ({shorten(names, 500)})")
        whole = WHOLE.fullmatch(text)
        spellings = [text, text.casefold(), whole[1] if whole else "", TRUTH.get(text.casefold(), "")]
        for spelling in spellings:
            if spelling in self._indices:
                return self._indices[spelling]
        raise ValueError(f"'{shorten(text)}' is not among the classes ({shorten(names, 500)}){self.hint}")

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


class LabelsParser(LabelParser):
    """Convert the classes of a multi-label row to a list with 0 or 1 for each class."""

    def __init__(self, names: Sequence[str] | None, separator: str = LABEL_SEPARATOR, hint: str = ""):
        """Set the classes, and what separates them in a text."""
        super().__init__(names or (), hint)
        self.separator = separator
        self.key = (self.names, separator)

    @property
    def feature(self) -> Any:
        """Type of the labels' column: a float32 for each class."""
        from datasets import List, Value

        return List(Value("float32"), length=len(self.names or ()))

    def __call__(self, value: Any) -> list[float]:
        """Return a number for each class.

        Args:
            value: A list of names or indices, or of a number for each class; or a text of names, written as a
                list or with the separator, which may be empty.

        Raises:
            ValueError: With a message for the user, if the labels are invalid.
        """
        names = self.names or ()
        if isinstance(value, str):
            value = _listed(value.strip(), self.separator)
        if not isinstance(value, list):
            value = [value]
        if len(value) == len(names) and all(part in (0, 1) for part in value):
            if sorted(value) == [0, 1] and all(type(part) is int for part in value):
                raise ValueError(f"{value} may be two indices or a number for each class; give names")
            return [float(part) for part in value]
        given = [self._index(part, ", ".join(names)) for part in value]
        if len(set(given)) < len(given):
            raise ValueError(f"{shorten(str(value))} names a class twice")
        return [float(index in given) for index in range(len(names))]


class FlagParser(LabelsParser):
    """Convert one of a multi-label row's columns, each of which holds 0 or 1 for a class."""

    def __call__(self, value: Any) -> Any:
        """Return 0 or 1 as a float; a ValueError has a message for the user."""
        text = str("" if value is None else value).strip().lower()
        flags = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}
        if text not in flags:
            raise ValueError("is missing (0 or 1)" if not text else f"'{shorten(text)}' is neither 0 nor 1")
        return flags[text]


def labels_of(
    kind: str,
    names: Sequence[str] | None,
    column: str | tuple[str, ...],
    separator: str = LABEL_SEPARATOR,
    hint: str = "",
) -> LabelParser:
    """Return what converts the values of a source's column of labels, or of several with 0 and 1.

    Raises:
        ConfigError: If the separator is empty.
    """
    if not separator:
        raise ConfigError("dataset.source.label_separator: give what stands between two classes")
    if kind != "multi_label_classification":
        return LabelParser(names, hint)
    return LabelsParser(names, separator, hint) if isinstance(column, str) else FlagParser(column)


def _listed(text: str, separator: str) -> list[Any]:
    """Return the parts of a text, which may be written as a list, as pandas writes lists to CSV."""
    if text.startswith("["):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return list(ast.literal_eval(text))
    return [part for part in text.split(separator) if part.strip()]


class RawLabel:
    """Take a label as the text that `find_classes` counts."""

    key: tuple[str, ...] = (AUTO,)

    @property
    def feature(self) -> Any:
        """Type of the column: texts."""
        from datasets import Value

        return Value("string")

    def __call__(self, value: Any) -> str:
        """Return the text of a label; a ValueError says why there is none."""
        if isinstance(value, list | dict):
            raise ValueError(f"is of type {type(value).__name__}, not one class")
        if value is None or value != value or not str(value).strip():
            raise ValueError("is missing")
        return str(value).strip()


class RawLabels(RawLabel):
    """Take the labels of a multi-label row as the texts that `find_classes` counts."""

    def __init__(self, separator: str):
        """Set what separates labels in a text."""
        self.separator = separator
        self.key = (AUTO, separator)

    @property
    def feature(self) -> Any:
        """Type of the column: lists of texts."""
        from datasets import List, Value

        return List(Value("string"))

    def __call__(self, value: Any) -> Any:
        """Return the texts of the labels; a ValueError says why there are none."""
        parts = _listed(value.strip(), self.separator) if isinstance(value, str) else value
        parts = parts if isinstance(parts, list) else [parts]
        return [super(RawLabels, self).__call__(part) for part in parts]


def raw_labels_of(kind: str, separator: str) -> RawLabel:
    """Return what takes the values of a source's column of labels as texts."""
    return RawLabels(separator) if kind == "multi_label_classification" else RawLabel()


MISSING = frozenset({"nan", "na", "n/a", "none", "null"})
"""What programs write in place of a value that is missing, in lower case."""
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def find_classes(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the names of the classes, given how often each label occurs.

    Numbers are in numeric order, other names sorted; if all are whole, `1.0` is `1`. Labels that differ only
    by case are one class: its name is in lower case if one of them is, else as most rows have it. Among
    numbers a mark of `MISSING` is no class.
    """
    present = {label: count for label, count in counts.items() if label.casefold() not in MISSING}
    if present and all(NUMBER.fullmatch(label) for label in present):
        counts = present
    whole = all(WHOLE.fullmatch(label) or label.lstrip("+-").isdecimal() for label in counts)
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label, count in counts.items():
        name = WHOLE.sub(r"\1", label) if whole else label
        spellings[name.casefold()][name] += count
    for found in spellings.values():
        if len(found) > 1:
            shown = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
            log.warning("labels that differ only by case are one class: %s", shown)
    names = [
        folded if folded in found else max(found, key=found.__getitem__)
        for folded, found in spellings.items()
    ]
    numeric = all(NUMBER.fullmatch(name) for name in names)
    return tuple(sorted(names, key=lambda name: (float(name) if numeric else 0.0, name.casefold())))


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
