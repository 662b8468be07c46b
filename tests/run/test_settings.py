"""Every yaml on disk composes and instantiates, and values that cannot be meant are refused by name."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from transformers import AlbertConfig, DistilBertConfig, RobertaConfig

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError
from powerbert.methods.method import StagePlan
from powerbert.run.checks import check, check_against_model
from powerbert.run.settings import method_settings, plain, stage_settings

GROUPS = sorted(path.name for path in CONFIG_FOLDER.iterdir() if path.is_dir() and path.name != "hydra")
PRIMARY = {"analysis": "analyse", "report": "report", "shape": "benchmark"}
"""The entry point of a group that is not train's."""


def files(group: str) -> list[str]:
    found = sorted(path.stem for path in (CONFIG_FOLDER / group).glob("*.yaml"))
    if not found:
        raise FileNotFoundError(f"no yaml under conf/{group}")  # else the tests below would vanish silently
    return found


def composed(tmp_path: Path, *overrides: str, config_name: str = "train") -> DictConfig:
    output = [f"paths.output={tmp_path}"] if config_name == "train" else []
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        return compose(config_name, overrides=[f"paths.runs={tmp_path}", *output, *overrides])


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in GROUPS if group not in PRIMARY for name in files(group)]
)
def test_every_yaml_of_train_composes_and_instantiates(group, name, tmp_path):
    append = "+" if group in ("experiment", "sweep") else ""
    cfg = composed(tmp_path, f"{append}{group}={name}")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    instantiate(cfg.dataset.source)
    instantiate(method_settings(plain(cfg)))
    instantiate(cfg.measure)
    for settings in cfg.logger.values():
        instantiate(settings)
    check(cfg)


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in PRIMARY for name in files(group)])
def test_every_yaml_of_the_other_entry_points_composes_and_instantiates(group, name, tmp_path):
    cfg = composed(tmp_path, f"{group}={name}", config_name=PRIMARY[group])
    assert callable(instantiate(cfg[group]))


def test_the_groups_of_the_design_exist():
    named = {"model", "dataset", "method", "elimination", "trainer", "logger", "experiment", "sweep"}
    assert named <= set(GROUPS)


@pytest.mark.parametrize(
    "override",
    [
        "paths.runs=s3://bucket/runs",
        "records=gs://bucket/records",
        "lambda=-0.001",
        "lambda=much",
        "lambda=inf",
        "learning_rate=0",
        "warmup_ratio=1.5",
        "batch_size=0",
        "stages.search.batch_size=0.5",
        "seed=-1",
        "stage=pretrain",
        "elimination.rounding=up",
        "elimination.selection=tail",
        "longer_than=0",
        "dataset.max_length=2",
    ],
)
def test_refuses_by_name(override, tmp_path):
    key, _, value = override.partition("=")
    with pytest.raises(ConfigError, match=f"^{re.escape(key)}: .*{re.escape(value)}"):
        check(composed(tmp_path, override))


MODEL = SimpleNamespace(model_type="bert", max_position_embeddings=64, num_hidden_layers=3)


@pytest.mark.parametrize(
    "configuration", ["[9,8]", "[9,8,7,6]", "[8,9,7]", "[9,8,0]", "[80,8,7]"], ids=lambda value: value
)
def test_refuses_a_retention_configuration(configuration):
    with pytest.raises(ConfigError, match=r"^elimination\.retention_configuration"):
        check_against_model(MODEL, "tiny", 64, json.loads(configuration))


def test_refuses_more_word_pieces_than_positions():
    with pytest.raises(ConfigError, match=r"^dataset\.max_length: 65 is beyond the 64 positions"):
        check_against_model(MODEL, "tiny", 65)
    check_against_model(MODEL, "tiny", 64)
    check_against_model(MODEL, "tiny", "auto")


def test_knows_the_positions_and_encoders_of_other_hosts():
    given = [64, 32, 16, 16, 8, 4]
    check_against_model(AlbertConfig(num_hidden_layers=3, inner_group_num=2), "albert", 64, given)
    check_against_model(DistilBertConfig(n_layers=6), "distilbert", 64, given)
    roberta = RobertaConfig(max_position_embeddings=66, num_hidden_layers=6)
    check_against_model(roberta, "roberta", 64, given)
    with pytest.raises(ConfigError, match=r"^dataset\.max_length: 64 is beyond the 63 positions"):
        check_against_model(RobertaConfig(max_position_embeddings=65), "roberta", 64)


def test_lambda_takes_any_float(tmp_path):
    for text, value in {"1e-4": 1e-4, "0": 0, "0.00015": 0.00015, "3": 3}.items():
        cfg = composed(tmp_path, f"lambda={text}")
        check(cfg)
        assert instantiate(method_settings(plain(cfg))).knob == {"lambda": value}


def test_a_stage_overrides_what_holds_for_all(tmp_path):
    cfg = composed(
        tmp_path,
        "trainer.max_epochs=4",
        "trainer.precision=bf16-mixed",
        "learning_rate=0.1",
        "stages.search.max_epochs=2",
        "stages.search.learning_rate=0.2",
        "+stages.search.precision=32-true",
    )
    search, retrain = (stage_settings(plain(cfg), plan(name)) for name in ("search", "retrain"))
    assert search.optimization.learning_rate == 0.2
    assert (search.trainer["max_epochs"], search.trainer["precision"]) == (2, "32-true")
    assert retrain.optimization.learning_rate == 0.1
    assert (retrain.trainer["max_epochs"], retrain.trainer["precision"]) == (4, "bf16-mixed")


def plan(name: str, **settings) -> StagePlan:
    return StagePlan(name, (), lambda _: {}, lambda *_: None, **settings)


def test_only_what_changes_the_weights_has_influence(tmp_path):
    def influence(*overrides: str):
        return stage_settings(plain(composed(tmp_path, *overrides)), plan("search")).influence

    assert influence("trainer.devices=2", "trainer.enable_progress_bar=false") == influence()
    for override in ("trainer.precision=bf16-mixed", "weight_decay=0", "stages.search.max_epochs=7"):
        assert influence(override) != influence()


def test_a_stage_may_last_as_long_as_others_together(tmp_path):
    config = plain(composed(tmp_path, "stages.search.max_epochs=2", "stages.retrain.max_epochs=5"))
    both = plan("retrain", epochs_of=("search", "retrain"))
    assert stage_settings(config, both).trainer["max_epochs"] == 7
    assert stage_settings(config, plan("retrain", epochs=3)).trainer["max_epochs"] == 3


TABLE = {  # the supplement's Table 1: learning rate, that of soft-extract, lambda, batch size
    "cola": (2e-5, 0.0015, 0.007, 32),
    "rte": (3e-5, 0.003, 0.001, 16),
    "qqp": (3e-5, 0.0001, 0.0003, 64),
    "mrpc": (6e-5, 0.003, 0.003, 64),
    "sst2": (3e-5, 0.0005, 0.0002, 64),
    "mnli_m": (3e-5, 0.0002, 0.0001, 64),
    "mnli_mm": (3e-5, 0.0001, 0.0001, 64),
    "qnli": (3e-5, 0.0002, 0.00015, 16),
    "stsb": (3e-5, 0.003, 0.001, 64),
    "imdb": (3e-5, 0.0002, 0.0007, 8),
    "race": (1e-5, 0.0002, 0.0001, 4),
}


@pytest.mark.parametrize("dataset", TABLE)
def test_experiments_have_the_hyper_parameters_of_the_supplement(dataset, tmp_path):
    cfg = composed(tmp_path, f"+experiment={dataset}_search")
    assert cfg.dataset.name == dataset
    assert cfg.model.name == "bert_base"
    assert (cfg.learning_rate, cfg.retention_learning_rate, cfg["lambda"], cfg.batch_size) == TABLE[dataset]
    assert cfg.trainer.limit_train_batches == 1.0
