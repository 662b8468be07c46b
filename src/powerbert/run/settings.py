"""Refuses values of the configuration that cannot be meant, by name and before anything is loaded."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from powerbert.base.checks import check_whole
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError
from powerbert.elimination import SELECTIONS, validate_retention_configuration
from powerbert.methods import StagePlan
from powerbert.models import longest_input, num_encoders

STAGES = ("finetune", "search", "retrain")

WITHOUT_INFLUENCE = frozenset(
    {
        "accelerator",
        "barebones",
        "default_root_dir",
        "detect_anomaly",
        "devices",
        "enable_checkpointing",
        "enable_model_summary",
        "enable_progress_bar",
        "log_every_n_steps",
        "num_nodes",
        "profiler",
        "strategy",
    }
)
"""Arguments of Lightning's Trainer that say where and how loudly to train, not what comes out."""


PLACES = frozenset(
    {
        "by",
        "checkpoint_minutes",
        "grid",
        "logger",
        "max_loss",
        "objectives",
        "paths",
        "records",
        "skip_recorded",
        "sweep_size",
    }
)
"""Top-level keys that say where results go and which others there are, not how this one came about."""

SOURCE_PLACES = frozenset({"archive", "cache", "folder"})
"""Settings of a data source that say where its files lie."""


def check(cfg: DictConfig) -> None:
    """Checks the values that need no model and no data.

    Args:
        cfg: the composed configuration of `conf/train.yaml`.

    Raises:
        ConfigError: naming the key and the value.
    """
    _mounted(cfg)
    _number(cfg, "lambda", low=0.0)
    _number(cfg, "learning_rate", low=0.0, strict=True)
    _number(cfg, "retention_learning_rate", low=0.0, strict=True)
    _number(cfg, "weight_decay", low=0.0)
    _number(cfg, "warmup_ratio", low=0.0, high=1.0)
    _number(cfg, "checkpoint_minutes", low=0.0)
    _whole(cfg, "seed", low=0)
    _whole(cfg, "batch_size", low=1)
    _whole(cfg, "trials", low=1)
    for stage in STAGES:
        _number(cfg.stages[stage], "learning_rate", low=0.0, strict=True, prefix=f"stages.{stage}.")
        _whole(cfg.stages[stage], "batch_size", low=1, prefix=f"stages.{stage}.")
    if cfg.stage not in STAGES:
        raise ConfigError(f"stage: '{cfg.stage}' is unknown; choose one of {', '.join(STAGES)}")
    _choice(cfg.elimination, "rounding", ("ceil", "floor"))
    _choice(cfg.elimination, "retrain_from", ("finetune", "search"))
    _choice(cfg.elimination, "selection", SELECTIONS)
    if cfg.longer_than is not None:
        _whole(cfg, "longer_than", low=1)
    length = cfg.dataset.max_length
    if length != "auto":
        _whole(cfg.dataset, "max_length", low=3, prefix="dataset.")


def check_against_model(cfg: DictConfig, model_config: Any, max_length: int | None = None) -> None:
    """Checks the values whose bounds the model's `config.json` gives.

    Args:
        cfg: the composed configuration.
        model_config: the transformers configuration of the pretrained model.
        max_length: what the length rule chose, once it is known.

    Raises:
        ConfigError: for a `max_length` beyond the model's positions, or a retention configuration
            that grows, has the wrong length or an entry outside 1..max_length.
    """
    length, positions = max_length or cfg.dataset.max_length, longest_input(model_config)
    if length != "auto" and length > positions:
        raise ConfigError(
            f"dataset.max_length: {length} is beyond the {positions} positions of model '{cfg.model.name}'"
        )
    configuration = cfg.elimination.retention_configuration
    if configuration is not None:
        try:
            validate_retention_configuration(
                list(configuration), num_encoders(model_config), None if length == "auto" else length
            )
        except ConfigError as error:
            raise ConfigError(f"elimination.{error}") from error


def plain(node: Any) -> Any:
    """The resolved plain Python value of a configuration node."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def described(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration without the parts that say where results go, for an artifact's manifest."""
    return {str(key): plain(cfg[key]) for key in cfg if key not in PLACES}


def described_anywhere(cfg: DictConfig) -> dict[str, Any]:
    """As `described`, and without where data and checkpoint lie, for a record: their contents are hashed."""
    everything = described(cfg)
    dataset, model = everything["dataset"], everything["model"]
    source = {key: value for key, value in dataset["source"].items() if key not in SOURCE_PLACES}
    model = {key: value for key, value in model.items() if key != "checkpoint"}
    return everything | {"dataset": dataset | {"source": source}, "model": model}


def packaged_source(name: str, cache: Path) -> dict[str, Any]:
    """Where a dataset of `conf/dataset` comes from, for code that composes no configuration of a run.

    Args:
        name: of its yaml.
        cache: folder for what has to be fetched.

    Returns:
        The node `source`, resolved; empty if there is no such yaml.
    """
    yamls = {path.stem: path for path in (CONFIG_FOLDER / "dataset").glob("*.yaml")}
    if name not in yamls:
        return {}
    cfg = OmegaConf.create({"paths": {"cache": str(cache)}, "dataset": OmegaConf.load(yamls[name])})
    return plain(cfg)["dataset"]["source"]


def stage_settings(cfg: DictConfig, stage: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separates a stage's settings into the optimization's and Lightning's.

    Args:
        cfg: the composed configuration.
        stage: `finetune`, `search` or `retrain`.

    Returns:
        The optimization settings (learning_rate, batch_size, weight_decay, warmup_ratio) and the
        arguments of the Trainer with the stage's own overrides.
    """
    overrides = plain(cfg.stages[stage])
    optimization = {
        key: overrides.pop(key, cfg[key])
        for key in ("learning_rate", "batch_size", "weight_decay", "warmup_ratio")
    }
    return optimization, {**plain(cfg.trainer), **overrides}


def epochs(cfg: DictConfig, plan: StagePlan) -> int:
    """The epochs of a stage: the method's own number, or those of the stages that it stands for.

    Args:
        cfg: the composed configuration.
        plan: of the stage.

    Raises:
        ConfigError: naming the setting that is no whole number of at least 1.
    """
    if plan.epochs is not None:
        check_whole("method.epochs", plan.epochs)
        return plan.epochs
    stages = plan.epochs_of or (plan.name,)
    for stage in stages:
        _whole(cfg.stages[stage], "max_epochs", low=1, prefix=f"stages.{stage}.")
    return sum(cfg.stages[stage].max_epochs for stage in stages)


def influence(optimization: Mapping[str, Any], trainer: Mapping[str, Any]) -> dict[str, Any]:
    """What of a stage's settings changes the trained weights, for the artifact's address."""
    return {
        **optimization,
        "trainer": {key: value for key, value in trainer.items() if key not in WITHOUT_INFLUENCE},
    }


def _number(
    cfg: Any, key: str, low: float, high: float = math.inf, *, strict: bool = False, prefix: str = ""
) -> None:
    value = cfg[key]
    bound = f"{'greater than' if strict else 'at least'} {low:g}" + (
        f", at most {high:g}" if high < math.inf else ""
    )
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{prefix}{key}: {value!r} is not a finite number; it must be {bound}")
    if value < low or value > high or (strict and value == low):
        raise ConfigError(f"{prefix}{key}: {value!r} is out of range; it must be {bound}")


def _whole(cfg: Any, key: str, low: int, *, prefix: str = "") -> None:
    value = cfg[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"{prefix}{key}: {value!r} must be a whole number of at least {low}")


def _mounted(cfg: DictConfig) -> None:
    """Refuses addresses such as `s3://...`: what is written there could be neither locked nor renamed."""
    for key in ("paths.runs", "paths.artifacts", "paths.cache", "paths.logs", "records"):
        if "://" in str(OmegaConf.select(cfg, key)):
            raise ConfigError(
                f"{key}: {OmegaConf.select(cfg, key)} is an address; give a folder, which may lie on a file "
                "system that several machines mount"
            )


def _choice(cfg: Any, key: str, choices: tuple[str, ...]) -> None:
    if cfg[key] not in choices:
        raise ConfigError(f"elimination.{key}: '{cfg[key]}' is unknown; choose one of {', '.join(choices)}")
