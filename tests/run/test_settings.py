"""Every yaml on disk composes and instantiates, and values that cannot be meant are refused by name."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from transformers import AlbertConfig, DistilBertConfig, RobertaConfig

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError
from powerbert.run.settings import check, check_against_model, method_node, stage_settings

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
    instantiate(method_node(cfg))
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
    ("override", "message"),
    [
        ("paths.runs=s3://bucket/runs", "paths.runs: s3://bucket/runs is an address; give a folder"),
        ("records=gs://bucket/records", "records: gs://bucket/records is an address; give a folder"),
        ("lambda=-0.001", "lambda: -0.001 is out of range"),
        ("lambda=much", "lambda: 'much' is not a finite number"),
        ("lambda=inf", "lambda: inf is not a finite number"),
        ("learning_rate=0", "learning_rate: 0 is out of range"),
        ("warmup_ratio=1.5", "warmup_ratio: 1.5 is out of range"),
        ("batch_size=0", "batch_size: 0 must be a whole number"),
        ("stages.search.batch_size=0.5", "stages.search.batch_size: 0.5 must be a whole number"),
        ("seed=-1", "seed: -1"),
        ("stage=pretrain", "stage: 'pretrain' is unknown; choose one of finetune, search, retrain"),
        ("elimination.rounding=up", "elimination.rounding: 'up' is unknown"),
        ("elimination.selection=tail", "elimination.selection: 'tail' is unknown; choose one of attn, head"),
        ("longer_than=0", "longer_than: 0 must be a whole number of at least 1"),
        ("dataset.max_length=2", "dataset.max_length: 2"),
    ],
)
def test_refuses_by_name(override, message, tmp_path):
    with pytest.raises(ConfigError, match="^" + message.replace("(", r"\(")):
        check(composed(tmp_path, override))


MODEL = SimpleNamespace(model_type="bert", max_position_embeddings=64, num_hidden_layers=3)


@pytest.mark.parametrize(
    "configuration", ["[9,8]", "[9,8,7,6]", "[8,9,7]", "[9,8,0]", "[80,8,7]"], ids=lambda value: value
)
def test_refuses_a_retention_configuration(configuration, tmp_path):
    cfg = composed(tmp_path, f"elimination.retention_configuration={configuration}", "dataset.max_length=64")
    with pytest.raises(ConfigError, match=r"^elimination\.retention_configuration"):
        check_against_model(cfg, MODEL)


def test_refuses_more_word_pieces_than_positions(tmp_path):
    with pytest.raises(ConfigError, match=r"^dataset\.max_length: 65 is beyond the 64 positions"):
        check_against_model(composed(tmp_path, "dataset.max_length=65"), MODEL)
    check_against_model(composed(tmp_path, "dataset.max_length=64"), MODEL)
    chosen_by_rule = composed(tmp_path, "dataset.max_length=auto")
    check_against_model(chosen_by_rule, MODEL)
    with pytest.raises(ConfigError, match=r"^dataset\.max_length: 128 is beyond"):
        check_against_model(chosen_by_rule, MODEL, max_length=128)


def test_knows_the_positions_and_encoders_of_other_hosts(tmp_path):
    cfg = composed(tmp_path, "dataset.max_length=64", "elimination.retention_configuration=[64,32,16,16,8,4]")
    check_against_model(cfg, AlbertConfig(num_hidden_layers=3, inner_group_num=2))
    check_against_model(cfg, DistilBertConfig(n_layers=6))
    check_against_model(cfg, RobertaConfig(max_position_embeddings=66, num_hidden_layers=6))
    with pytest.raises(ConfigError, match=r"^dataset\.max_length: 64 is beyond the 63 positions"):
        check_against_model(cfg, RobertaConfig(max_position_embeddings=65, num_hidden_layers=6))


def test_lambda_takes_any_float(tmp_path):
    for text, value in {"1e-4": 1e-4, "0": 0, "0.00015": 0.00015, "3": 3}.items():
        cfg = composed(tmp_path, f"lambda={text}")
        check(cfg)
        assert instantiate(method_node(cfg)).knob == {"lambda": value}


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
    optimization, trainer = stage_settings(cfg, "search")
    assert (optimization["learning_rate"], trainer["max_epochs"], trainer["precision"]) == (0.2, 2, "32-true")
    optimization, trainer = stage_settings(cfg, "retrain")
    assert (optimization["learning_rate"], trainer["max_epochs"], trainer["precision"]) == (
        0.1,
        4,
        "bf16-mixed",
    )


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
