import tracemalloc

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

from powerbert.data import LengthSortedSampler, PaddingCollator
from powerbert.data.batching import LengthGroupedSampler
from tests.data.conftest import make_task

LENGTHS = np.random.default_rng(0).integers(3, 65, size=1003)


def batches(sampler, size):
    rows = list(sampler)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def padding(groups):
    padded = sum(len(group) * max(LENGTHS[group]) for group in groups)
    return 1 - sum(LENGTHS[group].sum() for group in groups) / padded


def test_order_depends_on_seed_and_epoch_alone():
    first, second = (LengthGroupedSampler(LENGTHS, 16, seed=1) for _ in range(2))
    order = list(first)
    assert list(first) == order  # not on how often it was asked
    second.set_epoch(3)
    third = list(second)
    first.set_epoch(3)
    assert list(first) == third != order
    assert list(LengthGroupedSampler(LENGTHS, 16, seed=2)) != order


def test_the_order_of_earlier_records_stays():
    assert list(LengthGroupedSampler(LENGTHS, 16, seed=1))[:6] == [471, 993, 379, 391, 406, 963]


def test_an_epoch_takes_few_bytes_a_row():
    rows = 200_000
    sampler = LengthGroupedSampler(np.ones(rows, np.int32), 32, seed=1)
    tracemalloc.start()
    try:
        assert sum(1 for _ in sampler) == rows
        assert tracemalloc.get_traced_memory()[1] < 16 * rows
    finally:
        tracemalloc.stop()


def test_batches_are_of_like_length_and_mixed():
    groups = batches(LengthGroupedSampler(LENGTHS, 16, seed=1), 16)
    assert padding(groups) < 0.1 < padding([list(range(i, min(i + 16, 1003))) for i in range(0, 1003, 16)])
    longest = [max(LENGTHS[group]) for group in groups[:40]]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
    assert [len(group) for group in groups] == [16] * 62 + [11]
    sampler = LengthGroupedSampler(LENGTHS, 16, seed=1)
    sampler.set_epoch(1)
    assert not set(map(frozenset, groups)) & set(map(frozenset, batches(sampler, 16))), "rows meet others"


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 512), min_size=1, max_size=300),
    batch_size=st.integers(1, 36),
    epoch=st.integers(0, 5),
)
def test_every_row_once_and_the_smaller_batch_last(lengths, batch_size, epoch):
    sampler = LengthGroupedSampler(lengths, batch_size, seed=7)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(len(sampler))) == list(range(len(lengths)))
    assert {len(batch) for batch in batches(sampler, batch_size)[:-1]} <= {batch_size}


def test_evaluation_is_sorted_and_complete():
    order = list(LengthSortedSampler(LENGTHS))
    assert sorted(order) == list(range(1003))
    assert (np.diff(LENGTHS[order]) <= 0).all()


def row(pieces, **others):
    columns = {"input_ids": 5, "token_type_ids": 0, "attention_mask": 1}
    return {name: [value] * pieces for name, value in columns.items()} | others


def test_batch_is_padded_to_its_longest(tokenizer, task):
    batch = PaddingCollator(tokenizer, task)([row(3, label=1, length=9), row(5, label=0, length=5)])
    assert set(batch) == {"input_ids", "token_type_ids", "attention_mask", "labels"}
    assert batch["input_ids"].tolist() == [[5, 5, 5, 0, 0], [5] * 5]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert torch.equal(batch["labels"], torch.tensor([1, 0]))


def test_batch_is_padded_to_a_given_length(tokenizer, task):
    batch = PaddingCollator(tokenizer, task)([row(3), row(5)], pad_to=8)
    assert batch["input_ids"].shape == (2, 8)
    assert batch["attention_mask"].sum(-1).tolist() == [3, 5]
    assert "labels" not in batch


def test_left_padding(tokenizer, task):
    left = BertTokenizer(vocab=tokenizer.get_vocab(), padding_side="left")
    batch = PaddingCollator(left, task)([row(3), row(5)])
    assert batch["attention_mask"].tolist() == [[0, 0, 1, 1, 1], [1] * 5]


def test_regression_labels_are_float32(tokenizer):
    task = make_task(label_names=None, metric="spearman")
    labels = PaddingCollator(tokenizer, task)([row(3, label=2.5), row(3, label=1)])["labels"]
    assert labels.dtype == torch.float32
    assert labels.tolist() == [2.5, 1.0]


def test_choices_are_a_dimension_of_the_batch(tokenizer):
    task = make_task(kind="multiple_choice", text_columns=("article", "choices"), label_names=("A", "B"))
    rows = [
        {"input_ids": [[5, 6], [7]], "attention_mask": [[1, 1], [1]], "label": 1},
        {"input_ids": [[8], [5, 6, 7]], "attention_mask": [[1], [1, 1, 1]], "label": 0},
    ]
    batch = PaddingCollator(tokenizer, task)(rows)
    assert batch["input_ids"].tolist() == [[[5, 6, 0], [7, 0, 0]], [[8, 0, 0], [5, 6, 7]]]
    assert batch["attention_mask"].tolist() == [[[1, 1, 0], [1, 0, 0]], [[1, 0, 0], [1, 1, 1]]]
    assert batch["labels"].tolist() == [1, 0]
    assert PaddingCollator(tokenizer, task)(rows, pad_to=6)["input_ids"].shape == (2, 2, 6)
