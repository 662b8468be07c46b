"""Queries and passages: which rows belong together, what is learnt, and what is refused or warned of."""

import logging

import pytest
import torch
from datasets import Dataset

from powerbert.base.errors import DataError
from powerbert.data import QUERY, tokenize
from powerbert.data.table import with_dev
from tests.data.conftest import make_task
from tests.data.test_module import make_module

TASK = make_task(
    kind="reranking", text_columns=("query", "passage"), label_names=None, metric="ndcg@10", max_length=12
)


def pairs(queries, labels):
    return {
        "query": list(queries),
        "passage": ["good film", "bad", "the plot is good"] * len(queries),
        "label": labels,
    }


def rows(queries="aabb", labels=(1.0, 0.0, 0.0, 1.0)):
    columns = pairs(queries, list(labels))
    return columns | {"passage": columns["passage"][: len(queries)]}


def test_a_query_has_one_number_in_every_split(tokenizer):
    first, second = (
        tokenize(Dataset.from_dict(rows(queries)), TASK, tokenizer, 12)[QUERY][:]
        for queries in ("aabb", "bbaa")
    )
    assert first == second[::-1]
    assert len(set(first)) == 2
    assert QUERY not in tokenize(
        Dataset.from_dict(rows()), make_task(text_columns=("query", "passage")), tokenizer, 12
    )


def test_only_evaluation_batches_have_queries(tokenizer):
    data = make_module(tokenizer, task=TASK, train=rows(), dev=rows("cdcd"))
    data.setup()
    (batch,) = data.train_dataloader()
    assert batch["labels"].shape == (4, 1)
    assert QUERY not in batch
    (batch,) = data.val_dataloader()
    order = list(data.val_dataloader().sampler)
    assert batch[QUERY].tolist() == [data.dataset["dev"][QUERY][row] for row in order]
    assert batch[QUERY].dtype == torch.int64


def test_grades_above_one_are_shares_of_the_greatest_in_training_alone(tokenizer):
    graded = rows(labels=(4.0, 0.0, 1.0, 2.0))
    data = make_module(tokenizer, task=TASK, train=graded, dev=graded | {"query": list("cdcd")})
    data.setup()
    assert data.dataset["train"]["label"][:] == [1.0, 0.0, 0.25, 0.5]
    assert data.dataset["dev"]["label"][:] == [4.0, 0.0, 1.0, 2.0]


def test_grades_may_have_names(tokenizer):
    named = make_task(
        kind="reranking",
        text_columns=("query", "passage"),
        metric="mrr@10",
        label_names=("no", "maybe", "yes"),
    )
    data = make_module(tokenizer, task=named, train=rows(labels=(2, 0, 1, 0)), dev=rows("ccdd", (2, 0, 1, 0)))
    data.setup()
    assert data.dataset["train"]["label"][:] == [1.0, 0.0, 0.5, 0.0]


def test_shared_queries_are_warned_of_once(tokenizer, caplog):
    with caplog.at_level(logging.WARNING):
        make_module(tokenizer, task=TASK, train=rows(), dev=rows("bbcc")).setup()
    assert [record.getMessage() for record in caplog.records] == [
        "dataset 'reviews': queries of train are also in other splits: 1 of dev"
    ]
    caplog.clear()
    make_module(tokenizer, task=TASK, train=rows(), dev=rows("ccdd")).setup()
    assert not caplog.records


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((1.0, 0.0, -0.5, 1.0), r"split 'dev', row 3: label -0\.5 is negative"),
        ((0.0, 0.0, 0.0, 0.0), "split 'dev' has no relevant passage"),
    ],
)
def test_grades_that_cannot_be_meant(tokenizer, labels, message):
    with pytest.raises(DataError, match=message):
        make_module(tokenizer, task=TASK, train=rows(), dev=rows("ccdd", labels)).setup()


def test_a_held_out_dev_split_divides_no_query():
    queries = [f"query {number // 5}" for number in range(200)]
    splits = with_dev({"train": Dataset.from_dict({"query": queries})}, "query")
    train, dev = (set(splits[split]["query"]) for split in ("train", "dev"))
    assert train | dev == set(queries)
    assert dev
    assert not train & dev
