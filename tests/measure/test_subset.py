from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import AutoTokenizer

from powerbert.data import PaddingCollator, Task
from powerbert.measure import evaluate_longer

LENGTHS = [3, 20, 7, 16, 17, 30, 40]
LABELS = [0, 1, 0, 1, 0, 1, 1]


class Constant(nn.Module):
    """Predicts the same class, or the same number, for every input, and remembers the inputs' lengths."""

    device = "cpu"

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.lengths = []

    def forward(self, input_ids, attention_mask, **_):
        assert not self.training
        self.lengths += attention_mask.sum(dim=1).tolist()
        return SimpleNamespace(logits=self.logits.expand(len(input_ids), -1))


@pytest.fixture
def data(tiny_checkpoint):
    def make(task, labels=LABELS):
        rows = {
            "input_ids": [[5] * n for n in LENGTHS],
            "attention_mask": [[1] * n for n in LENGTHS],
            "length": LENGTHS,
            "label": labels,
        }
        collate = PaddingCollator(AutoTokenizer.from_pretrained(tiny_checkpoint), task)
        return SimpleNamespace(
            task=task, dataset={"dev": Dataset.from_dict(rows)}, collate=collate, eval_batch_size=3
        )

    return make


CLASSES = Task("sst2", ("sentence",), ("negative", "positive"), "accuracy", 64)


def test_evaluates_both_models_on_the_longer_inputs_alone(data):
    model, baseline = Constant(0.0, 1.0).train(), Constant(1.0, 0.0)
    result = evaluate_longer(model, baseline, data(CLASSES), 16)
    assert result == {"word_pieces": 16, "inputs": 4, "value": 0.75, "baseline": 0.25}
    assert sorted(model.lengths) == sorted(baseline.lengths) == [17, 20, 30, 40]
    assert model.training


def test_says_so_where_no_input_is_longer(data):
    result = evaluate_longer(Constant(0.0, 1.0), Constant(0.0, 1.0), data(CLASSES), 40)
    assert result == {"word_pieces": 40, "inputs": 0, "value": None, "baseline": None}


def test_the_metric_is_the_tasks(data):
    task = Task("stsb", ("sentence",), None, "spearman", 64)
    labels = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.5]
    result = evaluate_longer(Constant(2.0), Constant(1.0), data(task, labels), 16)
    assert np.isnan(result["value"]), "the correlation of a constant is not defined"
