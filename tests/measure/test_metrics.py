"""The task metrics agree with scikit-learn and scipy, degenerate inputs included."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from torchmetrics.retrieval import RetrievalMRR

from powerbert.base.errors import ConfigError
from powerbert.measure.metrics import build_metrics

REFERENCE = {
    "accuracy": sk.accuracy_score,
    "matthews_correlation": sk.matthews_corrcoef,
    "f1": sk.f1_score,
}


def computed(
    name: str, num_labels: int, predictions: np.ndarray, labels: np.ndarray, pieces: int = 3
) -> dict:
    metrics = build_metrics(name, num_labels)
    for part in np.array_split(np.arange(len(labels)), pieces):
        metrics.update(torch.tensor(predictions[part]), torch.tensor(labels[part]))
    return {key: value.item() for key, value in metrics.compute().items()}


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


@pytest.mark.parametrize("name", ["accuracy", "matthews_correlation", "f1"])
def test_three_classes(name):
    labels, predictions = np.random.default_rng(3).integers(0, 3, (2, 200))
    expected = (
        sk.f1_score(labels, predictions, average="macro")
        if name == "f1"
        else REFERENCE[name](labels, predictions)
    )
    assert computed(name, 3, predictions, labels)[name] == pytest.approx(expected, abs=1e-6)


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
    metrics = build_metrics("ndcg@10", 1)
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


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^dataset\.metric: 'bleu' is unknown"):
        build_metrics("bleu", 2)
