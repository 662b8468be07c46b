import logging
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, DatasetDict
from lightning.pytorch import LightningModule, Trainer

from powerbert.base.errors import DataError
from powerbert.data import TextDataModule
from powerbert.data.batching import LengthGroupedSampler
from powerbert.data.folder import FolderSource
from tests.data.conftest import WORDS, make_task


def split(size, first=0):
    """`size` rows of 3 to 11 word pieces; the label tells rows apart."""
    rows = range(first, first + size)
    return {"text": [" ".join(WORDS[: 1 + row % 9]) for row in rows], "label": list(rows)}


def make_module(tokenizer, *, batch_size=4, task=None, seed=3, **splits):
    splits = splits or {"train": split(50), "dev": split(7, 101), "test": split(5, 200)}
    task = task or make_task(max_length=10, label_names=None, metric="spearman", evaluation_split="test")
    rows = DatasetDict({name: Dataset.from_dict(columns) for name, columns in splits.items()})
    source = SimpleNamespace(load=lambda: rows)
    return TextDataModule(source, task, tokenizer, batch_size=batch_size, seed=seed)


class Recorder(LightningModule):
    """Learns nothing and notes which rows it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.train_rows: dict[int, list[list[float]]] = defaultdict(list)
        self.dev_rows: list[float] = []

    def training_step(self, batch, batch_idx):
        self.train_rows[self.current_epoch].append(batch["labels"].tolist())
        return self.weight * 0

    def validation_step(self, batch, batch_idx):
        self.dev_rows += batch["labels"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, folder, epochs, checkpoint=None):
    recorder = Recorder()
    without = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options = dict.fromkeys((*without, "use_distributed_sampler"), False) | {"num_sanity_val_steps": 0}
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=folder, **options)
    trainer.fit(recorder, datamodule=data, ckpt_path=checkpoint)
    return recorder, trainer


def test_lightning_changes_the_order_each_epoch_and_resumes_in_it(tokenizer, tmp_path):
    data = make_module(tokenizer)
    recorder, _ = fit(data, tmp_path, epochs=3)
    orders = [[row for batch in recorder.train_rows[epoch] for row in batch] for epoch in range(3)]
    assert [sorted(order) for order in orders] == [list(range(50))] * 3
    assert orders[0] != orders[1] != orders[2] != orders[0]
    sampler = LengthGroupedSampler([len(ids) for ids in data.dataset["train"]["input_ids"]], 4, seed=3)
    for epoch, order in enumerate(orders):
        sampler.set_epoch(epoch)
        assert order == list(sampler)
    assert sorted(recorder.dev_rows) == sorted(list(range(101, 108)) * 3)

    _, trainer = fit(make_module(tokenizer), tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = fit(make_module(tokenizer), tmp_path, epochs=3, checkpoint=tmp_path / "last.ckpt")
    assert resumed.train_rows == {epoch: recorder.train_rows[epoch] for epoch in (1, 2)}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_may_begin_within_the_epoch_and_is_told_the_epoch_first(tokenizer, workers):
    data = make_module(tokenizer)
    data.num_workers = workers
    data.setup()
    loader = data.train_dataloader()

    def rows():
        return [batch["labels"].tolist() for batch in loader]

    loader.sampler.set_epoch(2)
    whole = rows()
    loader.skip(5)
    begun = iter(loader)  # as Lightning does
    loader.sampler.set_epoch(2)
    assert [batch["labels"].tolist() for batch in begun] == whole[5:]
    assert rows() == whole, "no other pass is cut"
    loader.sampler.set_epoch(0)
    begun = iter(loader)
    loader.sampler.set_epoch(2)
    assert [batch["labels"].tolist() for batch in begun] == whole


def test_batches(tokenizer):
    data = make_module(tokenizer)
    data.setup()
    batches = list(data.train_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [4] * 12 + [2]
    for batch in batches:
        longest = int(batch["attention_mask"].sum(-1).max())
        assert batch["input_ids"].shape[1] == longest <= 10

    dev = [batch["labels"].tolist() for batch in data.val_dataloader()]
    assert dev == [[107, 106, 105, 104], [103, 102, 101]]  # the longest first
    loader = data.test_dataloader()
    labels = [row for batch in loader for row in batch["labels"].tolist()]
    assert labels == [200 + row for row in loader.sampler]


def test_truncation_is_counted_and_told(tokenizer, caplog):
    caplog.set_level(logging.INFO, "powerbert")
    data = make_module(tokenizer)
    data.setup()
    assert data.max_length == 10
    assert data.truncated == pytest.approx({"train": 5 / 50, "dev": 1 / 7, "test": 0})
    assert max(len(ids) for ids in data.dataset["train"]["input_ids"]) == 10
    assert "max_length 10 truncates 10.00% of train, 14.29% of dev, 0.00% of test" in caplog.text


def test_length_rule_is_applied_to_the_training_inputs_and_told(tokenizer, caplog):
    caplog.set_level(logging.INFO, "powerbert")
    texts = {"text": ["a " * 118] * 99 + ["a " * 400], "label": [0] * 100}
    task = make_task(max_length="auto")
    data = make_module(tokenizer, task=task, train=texts, dev={"text": ["b " * 500], "label": [1]})
    data.setup()
    assert data.max_length == 128
    assert data.truncated == {"train": 0.01, "dev": 1.0}
    assert "at most 1% of the training inputs are longer than 120 word pieces; chose 128" in caplog.text
    assert "max_length 128 truncates 1.00% of train" in caplog.text


def test_second_setup_does_nothing(tokenizer):
    data = make_module(tokenizer)
    data.setup()
    before = dict(data.dataset)
    data.source = None
    data.setup("fit")
    assert data.dataset == before


def test_empty_texts_and_texts_far_too_long_are_taken(tokenizer, write, tmp_path, cache):
    content = "text\tlabel\n\tbad\n" + "film " * 20_000 + "\tgood\n"
    for name in ("train.tsv", "dev.tsv"):
        write(name, content)
    source = FolderSource(tmp_path, ["text"], ["bad", "good"], cache)
    data = TextDataModule(source, make_task(label_names=("bad", "good")), tokenizer, 2, seed=0)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["attention_mask"].sum(-1).tolist() == [8, 2]
    assert batch["labels"].tolist() == [1, 0]


def test_multiple_choice(tokenizer):
    rows = {"article": ["a b", "c"], "choices": [["good", "bad"], ["film", "the plot"]], "label": [1, 0]}
    task = make_task(kind="multiple_choice", text_columns=("article", "choices"), label_names=("A", "B"))
    data = make_module(tokenizer, task=task, train=rows, dev=rows)
    data.setup()
    assert data.num_choices == 2
    batch = next(iter(data.val_dataloader()))
    assert batch["input_ids"].shape == (2, 2, 6)
    assert batch["labels"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": split(3)}, r"dataset 'reviews' has no split 'dev'; it has train"),
        ({"train": {"text": ["a"]}, "dev": split(3)}, r"split 'train' has no labels$"),
        ({"train": split(3), "dev": split(0)}, r"split 'dev' has no rows"),
        ({"train": {"body": ["a"], "label": [0]}, "dev": split(3)}, r"has no column 'text'; it has body"),
        ({"train": split(3), "dev": split(3)}, r"has no split 'test'"),
        (
            {"train": split(3), "dev": split(3), "test": {"text": ["a"]}},
            r"'test' has no labels; set dataset\.evaluation_split=dev",
        ),
    ],
)
def test_what_is_missing_is_said(tokenizer, splits, message):
    task = make_task(evaluation_split="test" if "test" in message else "dev")
    with pytest.raises(DataError, match=message):
        make_module(tokenizer, task=task, **splits).setup()
