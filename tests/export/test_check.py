"""Agreement of logits, and the made-up inputs of the check."""

import math
from dataclasses import replace

import pytest
import torch

from powerbert.data import Task
from powerbert.export.check import TOLERANCE, agreement, made_up_batches, within_tolerance

TASK = Task("made-up", ("text",), ("a", "b"), "accuracy", 16)
CHOICE = replace(TASK, text_columns=("text", "choices"), kind="multiple_choice")
NAMES = ["input_ids", "attention_mask"]


def test_agreement_counts_inputs():
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5001]])
    other = one + torch.tensor([[0.0, 0.0], [TOLERANCE / 2, 0.0], [0.01, 0.0]])
    found = agreement(one, other, TASK)
    assert found == {
        "inputs": 3,
        "largest_difference": pytest.approx(0.01),
        "beyond_tolerance": 1,
        "labels_differing": 1,
        "labels_equal": False,
    }
    regression = agreement(one[:, :1], other[:, :1], TASK)
    assert regression["labels_differing"] is regression["labels_equal"] is None


def test_of_several_labels_all_must_agree_at_their_thresholds():
    task = replace(TASK, kind="multi_label_classification", metric="micro_f1")
    one = torch.tensor([[1.0, -1.0], [0.0, 3.0], [0.0, 0.0]])
    other = torch.tensor([[-0.5, -2.0], [0.1, 1.0], [0.0, 0.1]])
    assert agreement(one, other, task)["labels_differing"] == 1
    assert agreement(one, other, task, [0.3, 0.9])["labels_differing"] == 1  # of the second row alone
    assert agreement(one, other, task, [0.51, 0.51])["labels_differing"] == 3


def test_what_is_no_number_agrees_with_nothing():
    found = agreement(torch.tensor([[math.nan]]), torch.tensor([[0.0]]), TASK)
    assert (found["largest_difference"], found["beyond_tolerance"]) == (math.inf, 1)


@pytest.mark.parametrize(("differing", "inputs", "within"), [(0, 3, True), (1, 10, True), (1, 9, False)])
def test_single_inputs_may_differ(differing, inputs, within):
    logits = torch.zeros(inputs, 2)
    other = logits.clone()
    other[:differing] = 1.0
    assert within_tolerance(agreement(logits, other, TASK)) == within


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
