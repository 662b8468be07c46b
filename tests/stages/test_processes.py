"""Training on several devices: as in one process, one error for all, and what is refused."""

import csv
import multiprocessing
import os
import signal
import time
from datetime import timedelta
from itertools import islice

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from powerbert.base.errors import ConfigError, DataError, UserError
from powerbert.base.interrupt import Interrupted, interruptible
from powerbert.data import QUERY, Task
from powerbert.measure.metrics import PER_CLASS
from powerbert.models import load_host_model, load_power_model
from powerbert.stages import FineTune, MassRegularizer, Optimization, Search
from powerbert.stages.processes import count_processes, fit_on_devices
from tests.stages.trainings import LENGTH, SETTINGS, TASK, batch

TWO = {"devices": 2, "strategy": "ddp"}


class Loader(DataLoader):
    """Goes on where an interrupted epoch was."""

    first = 0

    def skip(self, batches):
        self.first = batches

    def __iter__(self):
        first, self.first = self.first, 0
        yield from islice(super().__iter__(), first, None)


class Uneven(LightningDataModule):
    """Batches whose last has fewer inputs than there are processes, in training and in evaluation."""

    task = TASK

    def train_dataloader(self):
        return Loader([batch(0), batch(1), batch(2, size=7), batch(3, size=1)], batch_size=None)

    def val_dataloader(self):
        return DataLoader([batch(10), batch(11, size=1)], batch_size=None)


class Failing(Search):
    """The second process comes upon an input that it cannot take."""

    def loss(self, inputs):
        if self.global_rank == 1:
            raise DataError("train.tsv, row 7: what is this?")
        return super().loss(inputs)


class Killed(Search):
    """The second process is killed in its third step."""

    def loss(self, inputs):
        if self.global_rank == 1 and self.global_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(inputs)


class AskedToStop(Search):
    """Its first process lets the test's own be asked to stop, in its third step."""

    test: int

    def loss(self, inputs):
        if self.global_rank == 0 and self.global_step == 2:
            os.kill(self.test, signal.SIGTERM)
            time.sleep(1)
        return super().loss(inputs)


@pytest.fixture
def finetuned(tiny_checkpoint, tmp_path) -> str:
    """Without dropout, of which every process draws its own."""
    torch.manual_seed(0)
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    load_host_model(tiny_checkpoint, num_labels=2, **dropout).save_pretrained(tmp_path / "finetuned")
    return str(tmp_path / "finetuned")


def searching(finetuned: str, kind: type[Search] = Search) -> Search:
    model = load_power_model(finetuned, soft_extract_length=LENGTH)
    mass = MassRegularizer(0.02, LENGTH)
    return kind(model, TASK, Optimization(1e-3), regularizer=mass, retention_learning_rate=0.2)


@pytest.mark.slow
def test_two_processes_search_as_one_does(finetuned, tmp_path):
    settings = SETTINGS | {"gradient_clip_val": 1.0, "log_every_n_steps": 1}
    alone, together = searching(finetuned), searching(finetuned)
    metrics = fit_on_devices(alone, Uneven(), settings, [], tmp_path / "alone")
    logger = CSVLogger(tmp_path, name="metrics", version="")
    shared = fit_on_devices(together, Uneven(), settings | TWO, [logger], tmp_path / "together")
    assert shared["dev"].pop(PER_CLASS) == metrics["dev"].pop(PER_CLASS)
    assert shared["dev"] == pytest.approx(metrics["dev"])
    assert together.results()["mass"] == pytest.approx(alone.results()["mass"], abs=1e-3)
    r = together.soft_extract.retention_parameters
    assert r.min() >= 0
    assert r.min() < 0.5, "the search has moved"
    for name, weights in alone.model.state_dict().items():
        assert torch.allclose(together.model.state_dict()[name], weights, atol=1e-4), name
    logger.finalize("success")
    with open(tmp_path / "metrics" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows if row["search/dev_accuracy"]][:2] == ["0", "1"], "one process logs"
    assert len([row for row in rows if row["search/train_loss"]]) == 8


class Queries(LightningDataModule):
    """Both queries of dev lie in several batches; a third process is given none of their passages."""

    task = Task("made-up", ("query", "passage"), None, "ndcg@10", LENGTH, kind="reranking")

    def train_dataloader(self):
        return Loader([self.passages(seed) for seed in range(4)], batch_size=None)

    def val_dataloader(self):
        return DataLoader(
            [self.passages(seed, size) for seed, size in ((10, 2), (11, 2), (13, 1))], batch_size=None
        )

    @staticmethod
    def passages(seed, size=8):
        made = batch(seed, size)
        made["labels"] = made["labels"].float().unsqueeze(1)
        return made | {QUERY: torch.arange(size) % 2} if seed >= 10 else made


class Labels(Queries):
    """The same rows, with several labels."""

    task = Task("made-up", ("text",), ("a", "b"), "micro_f1", LENGTH, kind="multi_label_classification")

    @staticmethod
    def passages(seed, size=8):
        made = batch(seed, size)
        return made | {"labels": torch.nn.functional.one_hot(made["labels"], 2).float()}


@pytest.mark.slow
@pytest.mark.parametrize("data", [Queries(), Labels()], ids=lambda data: data.task.kind)
def test_a_dev_split_is_evaluated_with_the_rows_of_all_processes(tiny_checkpoint, tmp_path, data):
    found, task = [], data.task
    for settings in (SETTINGS, SETTINGS | TWO, SETTINGS | TWO | {"devices": 3}):
        torch.manual_seed(0)
        model = load_host_model(tiny_checkpoint, task.kind, **task.model_fields())
        stage = FineTune(model, task, Optimization(1e-3))
        evaluated = settings | {"max_epochs": 0}
        metrics = fit_on_devices(stage, data, evaluated, [], tmp_path / "checkpoints")["dev"]
        stage.complete(data)
        found.append((metrics, getattr(stage.model.config, "label_thresholds", None)))
    assert found[0] == found[1] == found[2]
    assert found[0][0][task.metric] > 0
    assert (found[0][1] is not None) == task.is_multi_label


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (Failing, DataError, r"^train\.tsv, row 7: what is this\?$"),
        (Killed, UserError, "^training on 2 devices: .* SIGKILL; .* lower batch_size"),
    ],
)
def test_what_ends_one_process_ends_all_with_one_message(finetuned, tmp_path, kind, error, message):
    with pytest.raises(error, match=message):
        fit_on_devices(searching(finetuned, kind), Uneven(), SETTINGS | TWO, [], tmp_path / "checkpoints")
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_signal_waits_until_the_processes_have_saved(finetuned, tmp_path):
    undisturbed, stopped, cut = (searching(finetuned, kind) for kind in (Search, AskedToStop, Search))
    stopped.test = os.getpid()
    fit_on_devices(undisturbed, Uneven(), SETTINGS | TWO, [], tmp_path / "undisturbed")
    with pytest.raises(Interrupted), interruptible():
        fit_on_devices(stopped, Uneven(), SETTINGS | TWO, [], tmp_path / "cut", timedelta(days=1))
    assert not multiprocessing.active_children()
    saved = torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3, "the step was finished and saved"
    fit_on_devices(cut, Uneven(), SETTINGS | TWO, [], tmp_path / "cut")
    for name, weights in undisturbed.state_dict().items():
        assert torch.equal(cut.state_dict()[name], weights), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": 1, "num_nodes": 2}, r"^trainer\.num_nodes: 2 "),
        ({"devices": 2, "strategy": "ddp_spawn"}, r"^trainer\.strategy: 'ddp_spawn' "),
    ],
)
def test_several_machines_and_other_strategies_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        count_processes({"accelerator": "cpu", **settings})


@pytest.mark.parametrize(("devices", "processes"), [(1, 1), ("auto", 1), (2, 2), ("3", 3)])
def test_a_process_for_each_device(devices, processes):
    assert count_processes({"accelerator": "cpu", "devices": devices, "strategy": "auto"}) == processes
