"""The paper's own results, as data to put ours beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError

COMPARISONS = ("table1", "table2")
"""The tables that compare PoWER-BERT with the model that it accelerates."""


@dataclass(frozen=True)
class DatasetSetup:
    """How the paper evaluates on a dataset.

    Attributes:
        name: of the dataset, as the paper writes it.
        metric: `accuracy`, `f1`, `matthews_correlation` or `spearman`.
        max_length: l, the number of word pieces that inputs are padded to.
        batch_size: inputs of a timed batch.
    """

    name: str
    metric: str
    max_length: int
    batch_size: int


@dataclass(frozen=True)
class Setup:
    """How the paper evaluates: `device` and `runs` of the timing, and the datasets by our name."""

    device: str
    runs: int
    datasets: Mapping[str, DatasetSetup]


@dataclass(frozen=True)
class Comparison:
    """PoWER-BERT against its baseline on one dataset.

    Attributes:
        baseline_metric: of the fine-tuned model on the test split, in percent.
        metric: that of PoWER-BERT.
        baseline_ms: inference time of the fine-tuned model, in milliseconds per batch.
        model_ms: that of PoWER-BERT.
        speedup: the ratio of the two, as printed.
    """

    baseline_metric: float
    metric: float
    baseline_ms: float
    model_ms: float
    speedup: float


@dataclass(frozen=True)
class ComparisonTable:
    """Table 1 or 2.

    Attributes:
        baseline: what the paper calls the model that is accelerated.
        model: our name of it, as in `conf/model/`.
        comparisons: by our name of the dataset, in the paper's order.
    """

    baseline: str
    model: str
    comparisons: Mapping[str, Comparison]


@dataclass(frozen=True)
class SelectionTable:
    """Table 3: ways of word-vector selection under one retention configuration.

    Attributes:
        dataset: our name of the dataset; its dev split is evaluated.
        model: our name of the model, as in `conf/model/`.
        retention_configuration: as printed: nine entries, though BERT-base has twelve encoders.
        length_threshold: inputs of more word pieces than this are the long ones.
        all: accuracy on the whole split in percent, by selection (`head`, `rand`, `attn`).
        long: accuracy on the long inputs.
    """

    dataset: str
    model: str
    retention_configuration: tuple[int, ...]
    length_threshold: int
    all: Mapping[str, float]
    long: Mapping[str, float]


def setup() -> Setup:
    """How the paper evaluates, for Tables 1 and 2 alike."""
    data = _data()["setup"]
    datasets = {key: DatasetSetup(**values) for key, values in data["datasets"].items()}
    return Setup(data["device"], data["runs"], datasets)


def comparison_table(name: str) -> ComparisonTable:
    """Table 1 (BERT) or Table 2 (ALBERT).

    Args:
        name: `table1` or `table2`.

    Raises:
        ConfigError: if there is no such table.
    """
    if name not in COMPARISONS:
        raise ConfigError(f"report.table: '{name}' is unknown; choose one of {', '.join(COMPARISONS)}")
    data = _data()[name]
    figures = zip(*(data[field] for field in Comparison.__dataclass_fields__), strict=True)
    comparisons = (Comparison(*column) for column in figures)
    return ComparisonTable(
        data["baseline"], data["model"], dict(zip(data["datasets"], comparisons, strict=True))
    )


def selection_table() -> SelectionTable:
    """Table 3: Head-WS, Rand-WS and Attn-WS."""
    data = _data()["table3"]
    return SelectionTable(**{**data, "retention_configuration": tuple(data["retention_configuration"])})


@cache
def _data() -> dict[str, Any]:
    data: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("paper_tables.yaml")))
    return data
