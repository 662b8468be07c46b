"""Logits of rows, and the metric of logits."""

from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from transformers.modeling_outputs import SequenceClassifierOutput

from powerbert.data import PaddingCollator, Task, tokenize
from powerbert.measure.evaluation import predict_logits, task_metric

TASK = Task("made-up", ("text",), ("a", "b"), "accuracy", 16)


def test_logits_come_in_the_order_of_the_rows(tokenizer):
    class Lengths(torch.nn.Module):
        def forward(self, attention_mask, **_):
            return SequenceClassifierOutput(logits=attention_mask.sum(1, keepdim=True))

    texts = ["a film", "a", "a film that was good", "the film", ""]
    rows = tokenize(Dataset.from_dict({"text": texts, "label": [0] * 5}), TASK, tokenizer, 16)
    logits = predict_logits(Lengths(), rows, PaddingCollator(tokenizer, TASK), batch_size=2)
    assert logits.flatten().tolist() == [len(row["input_ids"]) for row in rows]
    assert logits.dtype == torch.float32


def test_the_metric_is_the_tasks():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    assert task_metric(logits, torch.tensor([0, 1, 1]), TASK) == pytest.approx(2 / 3)
    regression = replace(TASK, label_names=None, metric="spearman")
    assert task_metric(torch.tensor([[1.0], [5.0], [7.0]]), torch.tensor([0.1, 0.2, 0.3]), regression) > 0.999
