"""The task metrics agree with scikit-learn and scipy, degenerate inputs included."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from torchmetrics.retrieval import RetrievalMRR

from powerbert.data import Task
from powerbert.measure.metrics import PER_CLASS, LabelMetrics, build_metrics, choose_thresholds, per_class

REFERENCE = {
    "accuracy": sk.accuracy_score,
    "matthews_correlation": sk.matthews_corrcoef,
    "f1": sk.f1_score,
    "macro_f1": lambda labels, predictions: sk.f1_score(labels, predictions, average="macro"),
}


def computed(
    name: str, num_labels: int, predictions: np.ndarray, labels: np.ndarray, pieces: int = 3
) -> dict:
    metrics = build_metrics(classes(num_labels, name))
    for part in np.array_split(np.arange(len(labels)), pieces):
        metrics.update(torch.tensor(predictions[part]), torch.tensor(labels[part]))
    values = metrics.compute()
    if num_labels > 1:
        precision, recall, f1, support = sk.precision_recall_fscore_support(
            labels, predictions, labels=range(num_labels), zero_division=0
        )
        for index, entry in enumerate(per_class(range(num_labels), values.pop(PER_CLASS)).values()):
            assert list(entry.values()) == pytest.approx(
                [precision[index], recall[index], f1[index], support[index]]
            )
    return {key: value.item() for key, value in values.items()}


def classes(count: int, metric: str, kind: str = "sequence_classification") -> Task:
    names = tuple(map(str, range(count))) if count > 1 else None
    columns = ("query", "passage") if kind == "reranking" else ("text",)
    return Task("made-up", columns, names, metric, 16, kind=kind)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("seed", range(5))
def test_classification_on_random_vectors(name, seed):
    random = np.random.default_rng(seed)
    labels, predictions = random.integers(0, 2, (2, 101))
    values = computed(name, 2, predictions, labels)
    assert name in values
    for key, value in values.items():
        assert value == pytest.approx(REFERENCE[key](labels, predictions), abs=1e-6)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(
    ("predicted", "true"), [(0, None), (1, None), (None, 0), (None, 1), (0, 0), (1, 1), (0, 1), (1, 0)]
)
def test_classification_when_one_class_is_predicted_or_true(name, predicted, true):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 40) if true is None else np.full(40, true)
    predictions = random.integers(0, 2, 40) if predicted is None else np.full(40, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = REFERENCE[name](labels, predictions)
    assert computed(name, 2, predictions, labels)[name] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("count", [3, 77])
def test_many_classes(name, count):
    labels, predictions = np.random.default_rng(3).integers(0, count, (2, 200))
    expected = REFERENCE["macro_f1" if name == "f1" else name](labels, predictions)
    assert computed(name, count, predictions, labels)[name] == pytest.approx(expected, abs=1e-6)


def labelled(seed, rows=60, count=4):
    """Logits and labels of rows, the last label of which never occurs."""
    random = np.random.default_rng(seed)
    labels = (random.random((rows, count)) < [0.5, 0.1, 0.9, 0.0]).astype(np.float32)
    logits = (2 * labels + random.normal(-1, 1.5, (rows, count))).round(1).astype(np.float32)
    return torch.tensor(logits), torch.tensor(labels)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "accuracy"])
@pytest.mark.parametrize("seed", range(3))
def test_several_labels(name, seed):
    logits, labels = labelled(seed)
    metrics = build_metrics(classes(4, name, "multi_label_classification"))
    for part in (slice(0, 7), slice(7, None)):
        metrics.update(logits[part], labels[part])
    values = metrics.compute()
    predicted = logits.sigmoid() >= metrics.thresholds
    assert next(iter(values)) == name
    table = per_class("abcd", values.pop(PER_CLASS), metrics.thresholds)
    assert {key: value.item() for key, value in values.items()} == pytest.approx(
        {
            "micro_f1": sk.f1_score(labels, predicted, average="micro"),
            "macro_f1": sk.f1_score(labels, predicted, average="macro"),
            "accuracy": sk.accuracy_score(labels, predicted),
        }
    )
    expected = sk.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for index, entry in enumerate(table.values()):
        *numbers, threshold = entry.values()
        assert numbers == pytest.approx([column[index] for column in expected])
        assert threshold == metrics.thresholds[index].item()
    metrics.reset()
    metrics.chooses, before = False, metrics.thresholds.clone()
    metrics.update(*labelled(seed + 10))
    metrics.compute()
    assert metrics.thresholds.equal(before), "those of dev hold for other splits"
    assert "thresholds" in LabelMetrics(name, 4).state_dict(), "devices and checkpoints pass them on"


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_has_a_greater_f1(seed):
    logits, labels = labelled(seed)
    chosen = choose_thresholds(logits, labels)
    assert chosen[3] == 0.5, "no input has the label"
    for label, threshold in enumerate(chosen[:3]):
        probabilities = logits[:, label].sigmoid()
        best = max(sk.f1_score(labels[:, label], probabilities >= least) for least in probabilities)
        assert sk.f1_score(labels[:, label], probabilities >= threshold) == pytest.approx(best)
        assert (probabilities - threshold).abs().min() > 1e-3, "midway between inputs"


@pytest.mark.parametrize("seed", range(5))
def test_regression_on_random_vectors_with_ties(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 11, 120).astype(np.float32) / 2
    predictions = (labels + random.normal(0, 2, 120)).astype(np.float32).round(1)
    values = computed("spearman", 1, predictions, labels)
    assert values["spearman"] == pytest.approx(stats.spearmanr(predictions, labels).statistic, abs=1e-5)
    assert values["pearson"] == pytest.approx(stats.pearsonr(predictions, labels).statistic, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["spearman", "pearson"])
def test_a_constant_prediction_has_no_correlation(name):
    predictions, labels = np.full(30, 2.5, np.float32), np.linspace(0, 5, 30, dtype=np.float32)
    reference = stats.spearmanr if name == "spearman" else stats.pearsonr
    assert math.isnan(reference(predictions, labels).statistic)
    assert math.isnan(computed(name, 1, predictions, labels)[name])


def ranked(scores, grades, queries, pieces=2):
    """nDCG and MRR at 10 of passages that come in pieces, a query's in several of them."""
    metrics = build_metrics(classes(1, "ndcg@10", "reranking"))
    values = torch.tensor(scores), torch.tensor(grades), torch.tensor(queries)
    for part in range(pieces):
        predictions, labels, indexes = (value[part::pieces] for value in values)
        metrics.update(predictions, labels, indexes=indexes)
    return {key: value.item() for key, value in metrics.compute().items()}


def test_ranking_by_hand():
    """Query 7 is ranked (0, 2, 1), query 2**59 (1, 0), query 5 has no relevant passage."""
    found = ranked(
        [-1.0, -2.0, -3.0, 4.0, 3.0, 9.0, 8.0],
        [0.0, 2.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        [7, 7, 7, 2**59, 2**59, 5, 5],
    )
    first = (2 / math.log2(3) + 1 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert found["ndcg@10"] == pytest.approx((first + 1) / 2, rel=1e-6)
    assert found["mrr@10"] == pytest.approx((1 / 2 + 1) / 2, rel=1e-6)


def test_only_the_first_ten_count():
    scores = [-float(place) for place in range(12)]
    for place, expected in ((9, 1 / 10), (10, 0.0)):
        grades = [float(number == place) for number in range(12)]
        found = ranked(scores, grades, [1] * 12)
        assert found["mrr@10"] == pytest.approx(expected)
        assert found["ndcg@10"] == pytest.approx(1 / math.log2(11) if expected else 0.0)


def test_of_equal_scores_the_relevant_passage_is_not_favoured():
    for grades in ([1.0, 0.0], [0.0, 1.0]):
        found = ranked([0.5, 0.5], grades, [3, 3])
        assert found["mrr@10"] == 1 / 2
        assert found["ndcg@10"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert ranked([0.5, 0.5], [1.0, 1.0], [3, 3]) == {"ndcg@10": 1.0, "mrr@10": 1.0}


@pytest.mark.parametrize("seed", range(3))
def test_rankings_are_those_of_torchmetrics_and_scikit_learn(seed):
    random = np.random.default_rng(seed)
    queries = np.repeat(np.arange(20), 30)
    scores = random.normal(size=600).astype(np.float32)
    grades = random.integers(0, 4, 600).astype(np.float32) * (random.random(600) < 0.2)
    found = ranked(scores, grades, queries, pieces=7)
    of_queries = [(scores[queries == q], grades[queries == q]) for q in range(20)]
    expected = [sk.ndcg_score([labels], [values], k=10) for values, labels in of_queries if labels.any()]
    assert found["ndcg@10"] == pytest.approx(np.mean(expected), abs=1e-6)
    theirs = RetrievalMRR(empty_target_action="skip", top_k=10)
    theirs.update(torch.tensor(scores).sigmoid(), torch.tensor(grades > 0), torch.tensor(queries))
    assert found["mrr@10"] == pytest.approx(theirs.compute().item(), abs=1e-6)
