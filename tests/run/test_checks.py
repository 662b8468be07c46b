"""Which keys and arguments of Lightning's Trainer a run takes; each is refused by name or works."""

import inspect
import re

import pytest
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError
from powerbert.elimination import SELECTIONS
from powerbert.run.checks import check, trainer_arguments
from powerbert.run.settings import resolve
from tests.run.test_settings import composed
from tests.tiny_runs import overrides, train

REFUSED = {
    "callbacks": "null",
    "default_root_dir": "here",
    "logger": "true",
    "plugins": "null",
    "use_distributed_sampler": "false",
    "limit_predict_batches": "1",
    "barebones": "true",
    "fast_dev_run": "true",
    "overfit_batches": "2",
}
"""Arguments that powerbert sets, that contradict what it needs, or that have no effect here."""

CHECKED = {
    "accumulate_grad_batches": "0",
    "benchmark": "maybe",
    "deterministic": "maybe",
    "detect_anomaly": "1",
    "enable_autolog_hparams": "1",
    "enable_checkpointing": "false",
    "enable_model_summary": "maybe",
    "enable_progress_bar": "2",
    "inference_mode": "maybe",
    "sync_batchnorm": "maybe",
    "limit_train_batches": "0",
    "limit_val_batches": "0.0",
    "limit_test_batches": "1.5",
    "log_every_n_steps": "often",
    "max_steps": "0",
    "num_sanity_val_steps": "x",
    "val_check_interval": "0",
}
"""Arguments with values that are refused before Lightning is imported."""

QUOTED = {
    "accelerator": "tpu",
    "devices": "0",
    "gradient_clip_algorithm": "most",
    "gradient_clip_val": "much",
    "max_time": "soon",
    "precision": "13",
    "profiler": "none",
    "strategy": "fsdp",
}
"""Arguments with values that Lightning refuses."""

PLANNED = {"check_val_every_n_epoch": "4", "max_epochs": "0", "num_nodes": "2"}
"""Arguments whose values the stages bound."""

WORKING = {
    "accelerator": "cpu",
    "accumulate_grad_batches": "2",
    "benchmark": "false",
    "check_val_every_n_epoch": "1",
    "detect_anomaly": "true",
    "deterministic": "warn",
    "devices": "auto",
    "enable_autolog_hparams": "false",
    "enable_checkpointing": "true",
    "enable_model_summary": "true",
    "enable_progress_bar": "true",
    "gradient_clip_algorithm": "value",
    "gradient_clip_val": "0.5",
    "inference_mode": "false",
    "limit_test_batches": "1.0",
    "limit_train_batches": "4",
    "limit_val_batches": "0.5",
    "log_every_n_steps": "1",
    "max_epochs": "1",
    "max_time": "00:01:00:00",
    "min_epochs": "1",
    "min_steps": "1",
    "model_registry": "none",
    "num_nodes": "1",
    "num_sanity_val_steps": "1",
    "precision": "32-true",
    "profiler": "simple",
    "reload_dataloaders_every_n_epochs": "1",
    "strategy": "auto",
    "sync_batchnorm": "true",
    "val_check_interval": "0.5",
}
"""Arguments and values that one training takes together."""

APART = ("+trainer.max_steps=3",)
"""What ends a training before its first epoch does."""


def test_every_argument_of_the_trainer_is_decided_on():
    known = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert trainer_arguments() == known
    assert REFUSED.keys() | WORKING.keys() | {"max_steps"} == known
    assert not REFUSED.keys() & WORKING.keys()


@pytest.mark.parametrize("node", ["trainer", "stages.search"])
@pytest.mark.parametrize(("argument", "value"), (REFUSED | CHECKED).items())
def test_refuses_an_argument_of_the_trainer(node, argument, value, tmp_path):
    with pytest.raises(ConfigError, match=rf"^{re.escape(node)}\.{argument}: "):
        check(composed(tmp_path, f"++{node}.{argument}={value}"))


@pytest.mark.parametrize("node", ["trainer", "stages.retrain"])
@pytest.mark.parametrize(("argument", "value"), (QUOTED | PLANNED).items())
def test_refuses_what_lightning_or_a_stage_does_before_anything_is_trained(
    node, argument, value, corpus, tmp_path
):
    settings = overrides(corpus, tmp_path, f"++{node}.{argument}={value}")
    with pytest.raises(ConfigError, match=rf"^(trainer|stages\.\w+)\.{argument}: "):
        resolve(composed(tmp_path, *settings))
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    "setting", ["limit_train_batches=0.01", "limit_val_batches=0.01", "val_check_interval=99"]
)
def test_refuses_a_stage_without_batches_before_any_is_trained(setting, corpus, tmp_path):
    with pytest.raises(ConfigError, match=rf"^trainer\.{setting.partition('=')[0]}: .*retrain"):
        train(corpus, tmp_path, "method=dense", f"++stages.retrain.{setting}")
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    "settings", [[f"++trainer.{key}={value}" for key, value in WORKING.items()], APART], ids=["all", "apart"]
)
def test_takes_all_other_arguments_of_the_trainer(settings, corpus, tmp_path):
    assert train(corpus, tmp_path, *settings, "method=dense") is not None


@pytest.mark.parametrize(
    "key",
    [
        *("dataset.class_weigths", "dataset.evaluation_splt", "dataset.source.foo", "model.freeze"),
        *("method.lamdba", "measure.run", "elimination.round", "paths.run", "stages.prune"),
        *("trainer.max_epoch", "stages.search.max_epoch"),
    ],
)
def test_refuses_an_unknown_key_of_a_node(key, tmp_path):
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)}: there is no such setting"):
        check(composed(tmp_path, f"+{key}=1"))


def test_takes_a_key_that_another_value_refers_to(tmp_path):
    check(composed(tmp_path, "+dataset.longest=32", "dataset.max_length=${.longest}"))


def test_refuses_a_home_folder_that_no_shell_expanded(tmp_path):
    cfg = composed(tmp_path)
    OmegaConf.update(cfg, "paths.runs", "~/runs")
    with pytest.raises(ConfigError, match=r"^paths\.runs: ~/runs"):
        check(cfg)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_takes_every_selection(selection, tmp_path):
    check(composed(tmp_path, f"elimination.selection={selection}"))
