"""Agreement of logits, and the inputs that an export is put to the test with."""

import math
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from transformers.modeling_outputs import SequenceClassifierOutput

from powerbert.data import PaddingCollator, Task, tokenize
from powerbert.export.check import TOLERANCE, agreement, made_up_batches, metric_of, row_logits

TASK = Task("made-up", ("text",), ("a", "b"), "accuracy", 16)
CHOICE = replace(TASK, text_columns=("text", "choices"), kind="multiple_choice")
NAMES = ["input_ids", "attention_mask"]


def test_agreement_counts_inputs():
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5001]])
    other = one + torch.tensor([[0.0, 0.0], [TOLERANCE / 2, 0.0], [0.01, 0.0]])
    found = agreement(one, other, is_regression=False)
    assert (found.inputs, found.beyond_tolerance, found.labels_differing) == (3, 1, 1)
    assert found.largest_difference == pytest.approx(0.01)
    assert agreement(one, other, is_regression=True).labels_differing is None


def test_what_is_no_number_agrees_with_nothing():
    found = agreement(torch.tensor([[math.nan]]), torch.tensor([[0.0]]), is_regression=True)
    assert (found.largest_difference, found.beyond_tolerance) == (math.inf, 1)


@pytest.mark.parametrize(("differing", "inputs", "within"), [(0, 3, True), (1, 10, True), (1, 9, False)])
def test_single_inputs_may_differ(differing, inputs, within):
    logits = torch.zeros(inputs, 2)
    other = logits.clone()
    other[:differing] = 1.0
    assert agreement(logits, other, is_regression=False).within_tolerance == within


@pytest.mark.parametrize("max_length", [3, 16])
def test_made_up_batches_try_all_kinds_of_inputs(tokenizer, max_length):
    batches = made_up_batches(tokenizer, TASK, NAMES, max_length)
    masks = [batch["attention_mask"] for batch in batches]
    assert all(list(batch) == NAMES for batch in batches)
    assert {mask.shape[1] for mask in masks if len(mask) == 1} >= {2, 3, max_length}
    assert any(len(mask) > 1 and (mask.sum(1) == 3).all() for mask in masks), "one-word inputs"
    assert any(len(mask.sum(1).unique()) > 1 for mask in masks), "unequal lengths"
    for batch in batches:
        assert (batch["input_ids"][:, 0] == tokenizer.cls_token_id).all()
        assert batch["input_ids"].max() < len(tokenizer)
        last = batch["input_ids"].gather(1, batch["attention_mask"].sum(1, keepdim=True) - 1)
        assert (last == tokenizer.sep_token_id).all()


def test_made_up_batches_of_several_choices(tokenizer):
    batches = made_up_batches(tokenizer, CHOICE, [*NAMES, "token_type_ids"], 16)
    assert all(batch["token_type_ids"].shape[1] == 2 for batch in batches)
    assert any(batch["token_type_ids"].any() for batch in batches)


def test_logits_come_in_the_order_of_the_rows(tokenizer):
    class Lengths(torch.nn.Module):
        def forward(self, attention_mask, **_):
            return SequenceClassifierOutput(logits=attention_mask.sum(1, keepdim=True))

    texts = ["a film", "a", "a film that was good", "the film", ""]
    rows = tokenize(Dataset.from_dict({"text": texts, "label": [0] * 5}), TASK, tokenizer, 16)
    logits = row_logits(Lengths(), rows, PaddingCollator(tokenizer, TASK), batch_size=2)
    assert logits.flatten().tolist() == [len(row["input_ids"]) for row in rows]
    assert logits.dtype == torch.float32


def test_the_metric_is_the_tasks():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    assert metric_of(logits, torch.tensor([0, 1, 1]), TASK) == pytest.approx(2 / 3)
    regression = replace(TASK, label_names=None, metric="spearman")
    assert metric_of(torch.tensor([[1.0], [5.0], [7.0]]), torch.tensor([0.1, 0.2, 0.3]), regression) > 0.999
