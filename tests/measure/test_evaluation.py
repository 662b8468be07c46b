"""Logits of rows, the metric of logits, and the metric on long inputs alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn

from powerbert.data import PaddingCollator, Task, tokenize
from powerbert.measure import evaluate_longer
from powerbert.measure.evaluation import predict_logits, task_metric

CLASSES = Task("made-up", ("text",), ("a", "b"), "accuracy", 64)
VALUES = Task("made-up", ("text",), None, "spearman", 64)
RANKING = Task("made-up", ("query", "passage"), None, "mrr@10", 64, kind="reranking")
LENGTHS = [3, 20, 7, 16, 17, 30, 40]


class Constant(nn.Module):
    """Predicts the same logits for every input, and remembers the inputs' lengths."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.lengths = []

    def forward(self, input_ids, attention_mask, **_):
        assert not self.training
        self.lengths += attention_mask.sum(dim=1).tolist()
        return SimpleNamespace(logits=self.logits.expand(len(input_ids), -1))


@pytest.fixture
def longer(tokenizer):
    """The result on the inputs longer than a number of word pieces."""

    def evaluate(task, labels, model, baseline, word_pieces):
        rows = {
            "input_ids": [[5] * n for n in LENGTHS],
            "attention_mask": [[1] * n for n in LENGTHS],
            "length": LENGTHS,
            "label": labels,
        }
        data = SimpleNamespace(
            task=task,
            dataset={"dev": Dataset.from_dict(rows)},
            collate=PaddingCollator(tokenizer, task),
            eval_batch_size=3,
        )
        return evaluate_longer(model, baseline, data, word_pieces)

    return evaluate


def test_logits_come_in_the_order_of_the_rows(tokenizer):
    class Lengths(nn.Module):
        def forward(self, attention_mask, **_):
            return SimpleNamespace(logits=attention_mask.sum(1, keepdim=True))

    texts = ["a film", "a", "a film that was good", "the film", ""]
    rows = tokenize(Dataset.from_dict({"text": texts, "label": [0] * 5}), CLASSES, tokenizer, 16)
    logits = predict_logits(Lengths(), rows, PaddingCollator(tokenizer, CLASSES), batch_size=2)
    assert logits.flatten().tolist() == [len(row["input_ids"]) for row in rows]
    assert logits.dtype == torch.float32


def test_the_metric_is_the_tasks(longer):
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    assert task_metric(logits, Dataset.from_dict({"label": [0, 1, 1]}), CLASSES) == pytest.approx(2 / 3)
    values = torch.tensor([[1.0], [5.0], [7.0]])
    assert task_metric(values, Dataset.from_dict({"label": [0.1, 0.2, 0.3]}), VALUES) > 0.999
    ranked = Dataset.from_dict({"label": [0, 1, 1], "query_id": [8, 8, 9]})
    assert task_metric(values, ranked, RANKING) == 1.0
    assert task_metric(-values, ranked, RANKING) == 0.75
    result = longer(VALUES, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.5], Constant(2.0), Constant(1.0), 16)
    assert np.isnan(result["value"]), "the correlation of a constant is not defined"


def test_both_models_are_evaluated_on_the_longer_inputs_alone(longer):
    model, baseline = Constant(0.0, 1.0).train(), Constant(1.0, 0.0)
    result = longer(CLASSES, [0, 1, 0, 1, 0, 1, 1], model, baseline, 16)
    assert result == {"word_pieces": 16, "inputs": 4, "value": 0.75, "baseline": 0.25}
    assert sorted(model.lengths) == sorted(baseline.lengths) == [17, 20, 30, 40]
    assert model.training
    none = longer(CLASSES, [0, 1, 0, 1, 0, 1, 1], model, baseline, 40)
    assert none == {"word_pieces": 40, "inputs": 0, "value": None, "baseline": None}
