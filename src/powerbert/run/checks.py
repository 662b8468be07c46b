"""Checks of a composed configuration that need no data: its values, and those that the model bounds.

Nothing here imports torch before it is known that the configuration names no unknown or invalid setting.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from inspect import Parameter, signature
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from powerbert.base.checks import check_choice, check_flag, check_known, check_number, check_whole
from powerbert.base.cli import CONFIG_FOLDER, is_referred_to, plain
from powerbert.base.errors import ConfigError
from powerbert.data.task import Task
from powerbert.elimination.names import SELECTIONS
from powerbert.run.objectives import check_objectives

if TYPE_CHECKING:
    from transformers import PretrainedConfig

STAGES = ("finetune", "search", "retrain")
OPTIMIZATION = ("learning_rate", "batch_size", "weight_decay", "warmup_ratio")

BOOKKEEPING = frozenset(
    "by checkpoint_minutes grid logger max_loss objectives paths records skip_recorded sweep_size".split()  # noqa: SIM905
)
"""Top-level keys that do not change a result: where it goes, and which other points a sweep has."""

SET_HERE = {
    "logger": "choose a logger by its group, such as logger=wandb or logger=[csv,wandb]",
    "callbacks": "they are objects of Python, and powerbert sets its own",
    "plugins": "they are objects of Python, and powerbert sets its own",
    "default_root_dir": "checkpoints lie beside the artifact; paths.runs=<folder> moves everything",
    "use_distributed_sampler": "each device takes its share of a batch",
    "limit_predict_batches": "a training predicts nothing",
}
"""Arguments of Lightning's Trainer that cannot be given, and why or what to give instead."""

SWITCHED_OFF = {
    "fast_dev_run": "it keeps no checkpoint; trainer=debug runs a few batches of each stage",
    "overfit_batches": "it would replace the dev split; trainer.limit_train_batches takes a part of train",
    "barebones": "it keeps no checkpoint and logs nothing",
}
"""Arguments that must be false or 0."""

FLAGS = (
    *("benchmark", "deterministic", "detect_anomaly", "enable_autolog_hparams", "enable_checkpointing"),
    *("enable_model_summary", "enable_progress_bar", "inference_mode", "sync_batchnorm"),
)
LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


def check(cfg: DictConfig) -> None:
    """Check the values that need neither model nor data.

    Raises:
        ConfigError: naming the key and the value.
    """
    check_keys(cfg)
    for key in ("paths.runs", "paths.artifacts", "paths.cache", "paths.logs", "records"):
        place = str(OmegaConf.select(cfg, key))
        if "://" in place:  # nothing there could be locked or renamed
            raise ConfigError(
                f"{key}: {place} is an address; give a folder, which may lie on a file system that several "
                "machines mount"
            )
        if place.startswith("~"):
            raise ConfigError(f"{key}: {place}: ~ counts on the command line only; write the folder in full")
    for key in ("learning_rate", "retention_learning_rate"):
        check_number(key, cfg[key], strict=True)
    for key in ("lambda", "weight_decay", "checkpoint_minutes"):
        check_number(key, cfg[key])
    check_number("warmup_ratio", cfg.warmup_ratio, high=1.0)
    check_whole("seed", cfg.seed, 0)
    for key in ("batch_size", "trials"):
        check_whole(key, cfg[key])
    check_whole("longer_than", cfg.longer_than, optional=True)
    check_trainer("trainer", plain(cfg.trainer))
    for stage in STAGES:
        settings = plain(cfg.stages[stage])
        check_number(f"stages.{stage}.learning_rate", settings["learning_rate"], strict=True)
        check_whole(f"stages.{stage}.batch_size", settings["batch_size"])
        check_trainer(f"stages.{stage}", {k: v for k, v in settings.items() if k not in OPTIMIZATION})
    check_choice("stage", cfg.stage, STAGES)
    for key in ("cls_alone", "skip_recorded"):
        check_flag(key, cfg[key])
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
    Task.from_config(cfg.dataset)
    for node, settings in (("measure", plain(cfg.measure)), ("method", method_settings(plain(cfg)))):
        check_arguments(node, settings)
        instantiate(settings)
    check_arguments("dataset.source", plain(cfg.dataset.source))
    for name, logger in cfg.logger.items():
        try:
            resolve_name(logger._target_)
        except Exception as error:
            raise ConfigError(f"logger.{name}._target_: {logger._target_} cannot be imported") from error


def check_keys(cfg: DictConfig) -> None:
    """Raise ConfigError for a key of a node that no packaged yaml has and no interpolation refers to."""
    packaged: Any = OmegaConf.load(CONFIG_FOLDER / "train.yaml")
    nodes = {
        "paths": set(packaged.paths),
        "stages": set(packaged.stages),
        "elimination": set(OmegaConf.load(CONFIG_FOLDER / "elimination" / "paper.yaml")),
        "dataset": _group_keys("dataset"),
        "model": _group_keys("model"),
    }
    for prefix, known in nodes.items():
        for key in map(str, OmegaConf.select(cfg, prefix)):
            if key not in known and not is_referred_to(key, cfg):
                check_known(f"{prefix}.", key, known)


def check_arguments(node: str, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError for a key of a node that is not an argument of its `_target_`."""
    try:
        arguments = signature(resolve_name(settings["_target_"])).parameters
    except Exception as error:
        raise ConfigError(f"{node}._target_: {settings.get('_target_')} cannot be imported") from error
    if any(argument.kind is Parameter.VAR_KEYWORD for argument in arguments.values()):
        return
    for key in settings:
        if not key.startswith("_"):
            check_known(f"{node}.", key, arguments)


def check_trainer(prefix: str, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError for an argument that Lightning's Trainer lacks, or that contradicts the training."""
    arguments = trainer_arguments()
    for name, value in settings.items():
        key = f"{prefix}.{name}"
        check_known(f"{prefix}.", name, arguments)
        if name in SET_HERE:
            raise ConfigError(f"{key}: it cannot be set; {SET_HERE[name]}")
        if name in SWITCHED_OFF and value:
            raise ConfigError(f"{key}: {value!r} must be false; {SWITCHED_OFF[name]}")
        if name in FLAGS and value is not None and (name, value) != ("deterministic", "warn"):
            check_flag(key, value)
        if name == "enable_checkpointing" and value is False:
            raise ConfigError(f"{key}: it must be true; a checkpoint keeps the best epoch")
        if name == "accumulate_grad_batches" or (name == "max_steps" and value != -1):
            check_whole(key, value)
        if name in ("num_sanity_val_steps", "log_every_n_steps"):
            check_whole(key, value, -1 if name == "num_sanity_val_steps" else 0, optional=True)
        if name in ("val_check_interval", *LIMITS) and not isinstance(value, str | None):
            check_number(key, value, strict=True)
            if isinstance(value, float) and value > 1:
                raise ConfigError(f"{key}: {value!r} must be a number of batches, or a share of at most 1.0")


def trainer_arguments() -> frozenset[str]:
    """Return the arguments of Lightning's Trainer, read from its source: to import it takes seconds."""
    spec = find_spec("lightning")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "pytorch" / "trainer" / "trainer.py").read_text(encoding="utf-8")
    (trainer,) = (node for node in ast.parse(source).body if getattr(node, "name", "") == "Trainer")
    (init,) = (node for node in ast.walk(trainer) if getattr(node, "name", "") == "__init__")
    return frozenset(argument.arg for argument in init.args.kwonlyargs)  # type: ignore[attr-defined]


def method_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node `method` without `display`, which only reports read."""
    return {key: value for key, value in config["method"].items() if key != "display"}


def _group_keys(group: str) -> set[str]:
    """Return the top-level keys of all packaged yamls of a group."""
    texts = (path.read_text(encoding="utf-8") for path in (CONFIG_FOLDER / group).glob("*.yaml"))
    return {key for text in texts for key in re.findall(r"^(\w+):", text, re.MULTILINE)}


def check_against_model(
    model_config: "PretrainedConfig",
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
    from powerbert.elimination import validate_retention_configuration
    from powerbert.models import longest_input, num_encoders  # heavy

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
