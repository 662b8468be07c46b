"""Checks of a composed configuration that need no data: its values, and those that the model bounds."""

from collections.abc import Sequence
from pkgutil import resolve_name

from omegaconf import DictConfig, OmegaConf
from transformers import PretrainedConfig

from powerbert.base.checks import check_choice, check_flag, check_number, check_whole
from powerbert.base.errors import ConfigError
from powerbert.elimination import SELECTIONS, validate_retention_configuration
from powerbert.models import longest_input, num_encoders
from powerbert.run.objectives import check_objectives

STAGES = ("finetune", "search", "retrain")


def check(cfg: DictConfig) -> None:
    """Check the values that need neither model nor data.

    Raises:
        ConfigError: naming the key and the value.
    """
    for key in ("paths.runs", "paths.artifacts", "paths.cache", "paths.logs", "records"):
        if "://" in str(OmegaConf.select(cfg, key)):  # nothing there could be locked or renamed
            raise ConfigError(
                f"{key}: {OmegaConf.select(cfg, key)} is an address; give a folder, which may lie on a file "
                "system that several machines mount"
            )
    for key in ("learning_rate", "retention_learning_rate"):
        check_number(key, cfg[key], strict=True)
    for key in ("lambda", "weight_decay", "checkpoint_minutes"):
        check_number(key, cfg[key])
    check_number("warmup_ratio", cfg.warmup_ratio, high=1.0)
    check_whole("seed", cfg.seed, 0)
    for key in ("batch_size", "trials"):
        check_whole(key, cfg[key])
    check_whole("longer_than", cfg.longer_than, optional=True)
    for stage in STAGES:
        check_number(f"stages.{stage}.learning_rate", cfg.stages[stage].learning_rate, strict=True)
        check_whole(f"stages.{stage}.batch_size", cfg.stages[stage].batch_size)
    check_choice("stage", cfg.stage, STAGES)
    check_flag("cls_alone", cfg.cls_alone)
    check_choice("elimination.rounding", cfg.elimination.rounding, ("ceil", "floor"))
    check_choice("elimination.retrain_from", cfg.elimination.retrain_from, ("finetune", "search"))
    check_choice("elimination.selection", cfg.elimination.selection, SELECTIONS)
    if cfg.elimination.protect is not None:
        check_choice("elimination.protect", cfg.elimination.protect, ("first_text",))
        if len(cfg.dataset.text_columns) < 2 or cfg.elimination.selection != "attn":
            raise ConfigError(
                "elimination.protect: first_text needs two dataset.text_columns, elimination.selection=attn"
            )
    if cfg.dataset.max_length != "auto":
        check_whole("dataset.max_length", cfg.dataset.max_length, 3)
    check_objectives(cfg.get("objectives", ()))
    for name, logger in cfg.logger.items():
        try:
            resolve_name(logger._target_)
        except Exception as error:
            raise ConfigError(f"logger.{name}._target_: {logger._target_} cannot be imported") from error


def check_against_model(
    model_config: PretrainedConfig,
    name: str,
    max_length: int | str,
    retention_configuration: Sequence[int] | None = None,
) -> None:
    """Check the values whose bounds the model's `config.json` gives.

    Args:
        max_length: in word pieces, or `auto` before the length rule has chosen.

    Raises:
        ConfigError: for a `max_length` beyond the model's positions, or a retention configuration that grows,
            has another number of entries than the model has encoders, or an entry outside 1..max_length.
    """
    length = None if isinstance(max_length, str) else max_length
    positions = longest_input(model_config)
    if length is not None and length > positions:
        raise ConfigError(
            f"dataset.max_length: {length} is beyond the {positions} positions of model '{name}'"
        )
    if retention_configuration is not None:
        try:
            validate_retention_configuration(
                list(retention_configuration), num_encoders(model_config), length
            )
        except ConfigError as error:
            raise ConfigError(f"elimination.{error}") from error
