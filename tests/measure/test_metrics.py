"""The task metrics agree with scikit-learn and scipy, degenerate inputs included."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

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


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^dataset\.metric: 'bleu' is unknown"):
        build_metrics("bleu", 2)
