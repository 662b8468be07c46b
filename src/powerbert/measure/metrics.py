"""The metrics of the paper's tasks (Table 1) and of reranking as torchmetrics collections.

Where a metric is undefined, its value follows scikit-learn (0 for Matthews correlation and F1) or scipy (NaN
for the correlation of a constant); torchmetrics differs. Queries without a relevant passage are left out of
nDCG and MRR, as TREC leaves out such topics: no ranking of their passages is better than another.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import F1Score, Metric, MetricCollection, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix
from torchmetrics.retrieval import RetrievalNormalizedDCG
from torchmetrics.utilities import dim_zero_cat

from powerbert.base.checks import check_choice

REPORTED = {
    "accuracy": ("accuracy",),
    "matthews_correlation": ("matthews_correlation", "accuracy"),
    "f1": ("f1", "accuracy"),
    "pearson": ("pearson", "spearman"),
    "spearman": ("spearman", "pearson"),
    "ndcg@10": ("ndcg@10", "mrr@10"),
    "mrr@10": ("mrr@10", "ndcg@10"),
}
"""The metrics reported for each metric that a task may be judged by, that one first."""


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


class NormalizedDCG(RetrievalNormalizedDCG):
    """nDCG with grades as gains; of passages with equal scores the mean counts."""

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Join the processes: torchmetrics needs one tensor a state, also where there were no inputs."""
        for state in ("indexes", "preds", "target"):
            dtype = torch.int64 if state == "indexes" else torch.float32
            empty = torch.empty(0, dtype=dtype, device=self.device)
            setattr(self, state, [torch.cat([empty, *getattr(self, state)])])
        super().sync(*args, **kwargs)


class ReciprocalRank(NormalizedDCG):
    """Mean reciprocal rank of each query's first passage with a grade above 0; 0 beyond `top_k`.

    Of passages with equal scores the irrelevant ones count as first. torchmetrics' own takes no grades, and
    passages with a score of at most 0 for irrelevant.
    """

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        before = preds[target <= 0] >= preds[target > 0].max()
        rank = 1 + before.sum()
        return torch.where(rank <= (self.top_k or rank), 1 / rank, 0.0)


def build_metrics(name: str, num_labels: int) -> MetricCollection:
    """Build the metric that a task is judged by, a key of `REPORTED`, and those reported with it.

    Args:
        num_labels: number of classes; 1 for regression and reranking.

    Returns:
        A collection by name. It takes predicted and true class indices, or predicted and true values, each
        of shape [inputs]; for reranking also `indexes`, the numbers of the queries.
    """
    check_choice("dataset.metric", name, sorted(REPORTED))
    return MetricCollection({entry: _build(entry, num_labels) for entry in REPORTED[name]})


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
    if num_labels == 2:
        return F1Score(task="binary")
    return F1Score(task="multiclass", num_classes=num_labels, average="macro")
