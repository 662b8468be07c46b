"""The metrics by which the tasks of the paper are judged (Table 1), as torchmetrics collections."""

from torchmetrics import (
    F1Score,
    MatthewsCorrCoef,
    Metric,
    MetricCollection,
    PearsonCorrCoef,
    SpearmanCorrCoef,
)
from torchmetrics.classification import MulticlassAccuracy

from powerbert.errors import ConfigError


def build_metrics(name: str, num_labels: int) -> MetricCollection:
    """The metric that selects and is reported, first, and those that go with it.

    Args:
        name: `accuracy`, `f1`, `matthews_correlation`, `pearson` or `spearman`.
        num_labels: number of classes; 1 for regression.

    Returns:
        A collection whose first entry is called `name`. It takes class indices and class indices,
        or predicted values and values, each of shape [inputs].

    Raises:
        ConfigError: if the name is unknown.
    """
    names = {
        "accuracy": ("accuracy",),
        "matthews_correlation": ("matthews_correlation", "accuracy"),
        "f1": ("f1", "accuracy"),
        "pearson": ("pearson", "spearman"),
        "spearman": ("spearman", "pearson"),
    }
    if name not in names:
        raise ConfigError(f"dataset.metric: '{name}' is unknown; choose one of {', '.join(sorted(names))}")
    return MetricCollection({entry: _build(entry, num_labels) for entry in names[name]})


def _build(name: str, num_labels: int) -> Metric:
    if name == "pearson":
        return PearsonCorrCoef()
    if name == "spearman":
        return SpearmanCorrCoef()
    if name == "accuracy":
        return MulticlassAccuracy(num_classes=num_labels, average="micro")
    if name == "matthews_correlation":
        return MatthewsCorrCoef(task="multiclass", num_classes=num_labels)
    if num_labels == 2:
        return F1Score(task="binary")
    return F1Score(task="multiclass", num_classes=num_labels, average="macro")
