"""The metrics of the paper's tasks (Table 1), of several labels and of reranking, by torchmetrics.

Where a metric is undefined, its value follows scikit-learn (0 for Matthews correlation and F1) or scipy (NaN
for the correlation of a constant); torchmetrics differs. Queries without a relevant passage are left out of
nDCG and MRR, as TREC leaves out such topics: no ranking of their passages is better than another.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import F1Score, Metric, MetricCollection, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassStatScores,
    MultilabelExactMatch,
    MultilabelF1Score,
    MultilabelStatScores,
)
from torchmetrics.functional.classification import binary_precision_recall_curve
from torchmetrics.retrieval import RetrievalNormalizedDCG
from torchmetrics.utilities import dim_zero_cat

from powerbert.data import Task

REPORTED = {
    "accuracy": ("accuracy",),
    "matthews_correlation": ("matthews_correlation", "accuracy"),
    "f1": ("f1", "accuracy"),
    "macro_f1": ("macro_f1", "accuracy"),
    "pearson": ("pearson", "spearman"),
    "spearman": ("spearman", "pearson"),
    "ndcg@10": ("ndcg@10", "mrr@10"),
    "mrr@10": ("mrr@10", "ndcg@10"),
}
"""The metrics reported for each metric that a task may be judged by, that one first; of several labels all of
`LABEL_METRICS` are."""

PER_CLASS = "per_class"
"""Name of the table that is reported with the metrics of classes and labels."""


class MatthewsCorrelation(MulticlassConfusionMatrix):
    """Matthews correlation of any number of classes; 0 if only one class is predicted or true."""

    def compute(self) -> Tensor:
        """Return the correlation of the confusion matrix, a scalar."""
        matrix = super().compute().double()
        total, predicted, true = matrix.sum(), matrix.sum(0), matrix.sum(1)
        covariance = matrix.trace() * total - predicted @ true
        variance = (total**2 - predicted @ predicted) * (total**2 - true @ true)
        return torch.where(variance > 0, covariance / variance.clamp_min(1).sqrt(), 0.0).float()


class SpearmanCorrelation(SpearmanCorrCoef):
    """Spearman correlation; NaN if predictions or labels are constant."""

    def compute(self) -> Tensor:
        """Return the correlation of the ranks, a scalar."""
        for values in (dim_zero_cat(self.preds), dim_zero_cat(self.target)):
            if bool((values == values[0]).all()):
                return torch.tensor(torch.nan)
        return super().compute()


class Collecting(Metric):
    """A metric that keeps lists of tensors, [inputs] each."""

    STATES: ClassVar[Mapping[str, torch.dtype]]

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Join the processes: torchmetrics needs one tensor a state, also where there were no inputs."""
        for state, dtype in self.STATES.items():
            empty = torch.empty(0, dtype=dtype, device=self.device)
            setattr(self, state, [torch.cat([empty, *getattr(self, state)])])
        super().sync(*args, **kwargs)


class NormalizedDCG(Collecting, RetrievalNormalizedDCG):
    """nDCG with grades as gains; of passages with equal scores the mean counts."""

    STATES: ClassVar = {"indexes": torch.int64, "preds": torch.float32, "target": torch.float32}


class ReciprocalRank(NormalizedDCG):
    """Mean reciprocal rank of each query's first passage with a grade above 0; 0 beyond `top_k`.

    Of passages with equal scores the irrelevant ones count as first. torchmetrics' own takes no grades, and
    passages with a score of at most 0 for irrelevant.
    """

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        before = preds[target <= 0] >= preds[target > 0].max()
        rank = 1 + before.sum()
        return torch.where(rank <= (self.top_k or rank), 1 / rank, 0.0)


class LabelMetrics(Collecting):
    """The metrics of several labels, from logits and labels, [inputs, labels]; the judged one comes first.

    Attributes:
        thresholds: The probability from which an input has each label, [labels], 0.5 at first.
        chooses: Whether the thresholds are chosen anew, on what the metrics are computed on.
    """

    STATES: ClassVar = {"logits": torch.float32, "labels": torch.float32}
    full_state_update = False
    thresholds: Tensor
    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self, name: str, num_labels: int) -> None:
        super().__init__()
        self.name, self.num_labels, self.chooses = name, num_labels, True
        self.register_buffer("thresholds", torch.full((num_labels,), 0.5))
        for state in self.STATES:
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, **_: Any) -> None:
        """Add a batch."""
        self.logits.append(logits.float().flatten())
        self.labels.append(labels.float().flatten())

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name."""
        logits, labels = (
            dim_zero_cat(getattr(self, state)).view(-1, self.num_labels) for state in self.STATES
        )
        if self.chooses:
            self.thresholds.copy_(choose_thresholds(logits, labels))
        return label_metrics(self.name, logits, labels, self.thresholds)


def choose_thresholds(logits: Tensor, labels: Tensor) -> Tensor:
    """Choose the probability from which an input has a label: for each label that with the greatest F1.

    It is midway between the probabilities of two inputs, or 0.5 for a label that no input has.

    Args:
        logits: [inputs, labels].
        labels: 0 or 1, [inputs, labels].
    """
    chosen = torch.full((labels.shape[1],), 0.5, device=logits.device)
    for label in labels.any(0).nonzero().flatten().tolist():
        probabilities, has = logits[:, label].float().sigmoid(), labels[:, label].long()
        precision, recall, thresholds = binary_precision_recall_curve(probabilities, has)
        f1 = (2 * precision * recall / (precision + recall)).nan_to_num()
        best = int(f1[: len(thresholds)].argmax())
        below = thresholds[best - 1] if best else 0.0
        chosen[label] = (thresholds[best] + below) / 2
    return chosen


def has_labels(logits: Tensor, thresholds: Tensor | Sequence[float] | None) -> Tensor:
    """Decide which labels inputs have, [inputs, labels]; without thresholds from a probability of 0.5."""
    least = 0.5 if thresholds is None else torch.as_tensor(thresholds, device=logits.device)
    return logits.float().sigmoid() >= least


def label_metrics(
    name: str, logits: Tensor, labels: Tensor, thresholds: Tensor | Sequence[float] | None
) -> dict[str, Tensor]:
    """Compute `LABEL_METRICS`, `name` first, and `PER_CLASS`, from logits and labels, [inputs, labels]."""
    count = labels.shape[1]
    metrics = {
        "micro_f1": MultilabelF1Score(count, average="micro"),
        "macro_f1": MultilabelF1Score(count, average="macro"),
        "accuracy": MultilabelExactMatch(count),
        PER_CLASS: MultilabelStatScores(count, average=None),
    }
    predicted = has_labels(logits, thresholds).long()
    ordered = {name: metrics.pop(name), **metrics}
    return {key: metric.to(labels.device)(predicted, labels.long()) for key, metric in ordered.items()}


def per_class(
    names: Sequence[str], counts: Tensor, thresholds: Tensor | Sequence[float] | None = None
) -> dict[str, dict[str, Any]]:
    """Tabulate classes by name: `precision`, `recall`, `f1`, `support` (their rows), and `threshold` if any.

    What is undefined is 0.

    Args:
        counts: Of each class true and false positives, true and false negatives, and rows: [classes, 5].
        thresholds: Of each label, [classes].
    """
    table: dict[str, dict[str, Any]] = {}
    for name, (hits, wrong, _, _, support) in zip(names, counts.tolist(), strict=True):
        table[name] = {
            "precision": hits / max(hits + wrong, 1),
            "recall": hits / max(support, 1),
            "f1": 2 * hits / max(hits + wrong + support, 1),
            "support": support,
        }
    if thresholds is not None:
        for name, threshold in zip(names, torch.as_tensor(thresholds).tolist(), strict=True):
            table[name]["threshold"] = threshold
    return table


def build_metrics(task: Task) -> MetricCollection | LabelMetrics:
    """Build the metric that a task is judged by, and those reported with it.

    Returns:
        Metrics by name. They take predicted and true class indices, or predicted and true values, each
        of shape [inputs]; for reranking also `indexes`, the numbers of the queries; for multi-label
        classification logits and labels. With them comes `PER_CLASS`, for `per_class`, if there are classes.
    """
    name, count = task.metric, task.num_labels
    if task.is_multi_label:
        return LabelMetrics(name, count)
    metrics: dict[str, Metric | MetricCollection] = {entry: _build(entry, count) for entry in REPORTED[name]}
    if task.kind == "sequence_classification" and not task.is_regression:
        metrics[PER_CLASS] = MulticlassStatScores(count, average=None)
    return MetricCollection(metrics)


def _build(name: str, num_labels: int) -> Metric:
    if name in ("ndcg@10", "mrr@10"):
        ranking = NormalizedDCG if name == "ndcg@10" else ReciprocalRank
        return ranking(empty_target_action="skip", top_k=10)
    if name == "pearson":
        return PearsonCorrCoef()
    if name == "spearman":
        return SpearmanCorrelation()
    if name == "accuracy":
        return MulticlassAccuracy(num_classes=num_labels, average="micro")
    if name == "matthews_correlation":
        return MatthewsCorrelation(num_classes=num_labels)
    if num_labels == 2 and name == "f1":
        return F1Score(task="binary")
    return F1Score(task="multiclass", num_classes=num_labels, average="macro")
