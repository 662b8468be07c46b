"""The settings of a run: the composed configuration, checked and resolved once into typed values."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from transformers import PretrainedConfig

from powerbert.base.checks import check_whole
from powerbert.base.cli import plain
from powerbert.base.environment import quick_precision
from powerbert.base.errors import ConfigError, UserError, find_user_error
from powerbert.data import Task
from powerbert.data.class_weights import ClassWeights, check_class_weights
from powerbert.data.task import AUTO, LOCATION_KEYS, Source
from powerbert.measure import LatencySettings
from powerbert.methods import Method, StagePlan
from powerbert.models import load_config
from powerbert.models.checkpoint import fingerprint
from powerbert.run.checks import BOOKKEEPING, OPTIMIZATION, check, check_against_model, method_settings
from powerbert.stages import Optimization
from powerbert.stages.processes import count_processes

log = logging.getLogger(__name__)

WITHOUT_INFLUENCE = frozenset(
    "accelerator barebones default_root_dir detect_anomaly devices enable_checkpointing enable_model_summary "  # noqa: SIM905
    "enable_progress_bar log_every_n_steps num_nodes profiler strategy".split()
)
"""Arguments of Lightning's Trainer that do not change the trained weights."""


@dataclass(frozen=True)
class StageSettings:
    """Settings of one training.

    Attributes:
        trainer: arguments of Lightning's Trainer, the stage's own overrides and its epochs included.
        influence: the settings that change the trained weights, for the artifact's address.
    """

    optimization: Optimization
    batch_size: int
    trainer: Mapping[str, Any]
    influence: Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """Everything that one run needs.

    Attributes:
        stage: the last stage to run.
        dataset: name of the dataset.
        model: name of the model.
        checkpoint: folder of the pretrained model.
        plans: the method's stages, in order.
        stages: settings of each plan, by its name.
        inputs: identity of the pretrained model and the data, part of every identity.
        identity: everything that determines the record.
        config: the resolved configuration without `BOOKKEEPING`, for manifests.
        hyperparameters: the whole resolved configuration, for loggers.
        loggers: settings of each logger, with `_target_`.
        class_weights: as of `weigh_classes`.
    """

    stage: str
    seed: int
    batch_size: int
    trials: int
    longer_than: int | None
    checkpoint_interval: timedelta
    skip_recorded: bool
    cls_alone: bool
    objectives: tuple[str, ...]
    dataset: str
    task: Task
    source: Source
    model: str
    checkpoint: Path
    model_config: PretrainedConfig
    method: Method
    plans: Sequence[StagePlan]
    stages: Mapping[str, StageSettings]
    measure: LatencySettings
    artifacts: Path
    cache: Path
    records: Path
    inputs: Mapping[str, Any]
    identity: Mapping[str, Any]
    config: Mapping[str, Any]
    hyperparameters: dict[str, Any]
    loggers: Sequence[Mapping[str, Any]]
    retention_configuration: Sequence[int] | None = None
    class_weights: ClassWeights = None

    def check_length(self, max_length: int) -> None:
        """Raise ConfigError unless the model and the given retention configuration fit an input's length."""
        check_against_model(self.model_config, self.model, max_length, self.retention_configuration)

    @property
    def portable_config(self) -> dict[str, Any]:
        """`config` without the places of data and checkpoint, for a record: their contents identify them."""
        dataset, model = self.config["dataset"], self.config["model"]
        source = {key: value for key, value in dataset["source"].items() if key not in LOCATION_KEYS}
        model = {key: value for key, value in model.items() if key != "checkpoint"}
        return {**self.config, "dataset": {**dataset, "source": source}, "model": model}


def resolve(cfg: DictConfig) -> Settings:
    """Check a composed `conf/train.yaml` and resolve it, obtaining data and checkpoint if they are missing.

    Raises:
        ConfigError: naming the key and its value.
        UserError: naming everything of data and model that is missing.
    """
    check(cfg)
    measure: LatencySettings = instantiate(cfg.measure)
    everything = plain(cfg)
    _choose_precision(everything)
    source: Source = instantiate(cfg.dataset.source)
    task = Task.from_config(cfg.dataset)
    checkpoint = _obtain_inputs(source, cfg.model.checkpoint)
    task = Task.from_config(cfg.dataset, source)
    dataset = everything["dataset"]
    dataset |= {"evaluation_split": task.evaluation_split, "metric": task.metric}
    if dataset["label_names"] == AUTO:
        dataset["label_names"] = dataset["source"]["label_names"] = list(task.label_names or ())
    weights = check_class_weights(everything["class_weights"], task)
    model_config = load_config(checkpoint)
    elimination = everything["elimination"]
    given = elimination["retention_configuration"] if elimination["unit"] == "count" else None
    check_against_model(model_config, cfg.model.name, task.max_length, given)
    own = method_settings(everything)
    method: Method = instantiate(own)
    method.check(model_config)
    plans = method.plans(checkpoint)
    names = [plan.name for plan in plans]
    if cfg.stage not in names:
        raise ConfigError(
            f"stage: method '{method.name}' has no stage '{cfg.stage}' here; it has {', '.join(names)}"
        )
    stages = {plan.name: stage_settings(everything, plan) for plan in plans}
    for name in names:
        _try_trainer(stages[name], everything["stages"][name], name)
    inputs = {
        "model": fingerprint(checkpoint),
        "dataset": {"content": source.fingerprint(), **task.influence()},
        **({"class_weights": weights} if weights is not None else {}),
    }
    if weights is None:  # so that the settings of earlier records stay the same
        del everything["class_weights"]
    return Settings(
        stage=cfg.stage,
        seed=cfg.seed,
        batch_size=cfg.batch_size,
        trials=cfg.trials,
        longer_than=cfg.longer_than,
        checkpoint_interval=timedelta(minutes=cfg.checkpoint_minutes),
        skip_recorded=cfg.skip_recorded,
        cls_alone=cfg.cls_alone,
        objectives=tuple(cfg.get("objectives", ())),
        dataset=cfg.dataset.name,
        task=task,
        source=source,
        model=cfg.model.name,
        checkpoint=checkpoint,
        model_config=model_config,
        method=method,
        plans=plans,
        stages=stages,
        measure=measure,
        artifacts=Path(cfg.paths.artifacts),
        cache=Path(cfg.paths.cache),
        records=Path(cfg.records),
        inputs=inputs,
        identity={
            "method": method.identity(own),
            **inputs,
            "seed": cfg.seed,
            "training": {name: stages[name].influence for name in names},
            "measure": {key: value for key, value in everything["measure"].items() if key != "patience"},
            "longer_than": cfg.longer_than,
            **({"cls_alone": True} if cfg.cls_alone else {}),
        },
        config={key: value for key, value in everything.items() if key not in BOOKKEEPING},
        hyperparameters=everything,
        loggers=list(everything["logger"].values()),
        retention_configuration=given,
        class_weights=weights,
    )


def stage_settings(config: Mapping[str, Any], plan: StagePlan) -> StageSettings:
    """Separate the settings of a stage into the optimization's and Lightning's.

    Raises:
        ConfigError: naming the number of epochs that is not valid.
    """
    overrides = dict(config["stages"][plan.name])
    optimization = {key: overrides.pop(key, config[key]) for key in OPTIMIZATION}
    if plan.epochs is not None:
        check_whole("method.epochs", plan.epochs, 0)
        epochs = plan.epochs
    else:
        epochs = 0
        for stage in plan.epochs_of or (plan.name,):
            own = config["stages"][stage]["max_epochs"]
            check_whole(f"stages.{stage}.max_epochs", own, 0 if stage == "finetune" else 1)
            epochs += own if own or stage == plan.name else config["trainer"]["max_epochs"]
    trainer = {**config["trainer"], **overrides, "max_epochs": epochs}
    every, owner = "check_val_every_n_epoch", "trainer"
    if every in overrides:
        owner = f"stages.{plan.name}"
    check_whole(f"{owner}.{every}", trainer.get(every, 1), high=epochs or None, optional=True)
    weighty = {key: value for key, value in trainer.items() if key not in WITHOUT_INFLUENCE}
    fields = {field.name for field in dataclasses.fields(Optimization)}
    return StageSettings(
        optimization=Optimization(**{key: optimization[key] for key in fields}),
        batch_size=optimization["batch_size"],
        trainer=trainer,
        influence={**optimization, "trainer": weighty},
    )


def _try_trainer(settings: StageSettings, own: Mapping[str, Any], stage: str) -> None:
    """Raise ConfigError, naming the key as the user gave it, if a stage's Trainer cannot be built."""
    try:
        count_processes(settings.trainer)
    except ConfigError as error:
        key, _, reason = str(error).removeprefix("trainer.").partition(":")
        if key not in own:
            raise
        raise ConfigError(f"stages.{stage}.{key}:{reason}") from error


def _choose_precision(config: Mapping[str, Any]) -> None:
    """Replace the precision `auto` by the device's quickest one; warn of one that the processor emulates."""
    on_cpu = config["trainer"].get("accelerator") == "cpu"
    quick = quick_precision(torch.device("cpu") if on_cpu else None)
    for place, settings in {"trainer": config["trainer"], **config["stages"]}.items():
        if settings.get("precision") == "auto":
            settings["precision"] = quick
        if str(settings.get("precision")).startswith("bf16") and quick == "32-true":
            log.warning("%s.precision: this device emulates bfloat16, slowly; auto chooses 32-true", place)


def _obtain_inputs(source: Source, checkpoint: DictConfig) -> Path:
    """Make sure of data and model before anything loads; one message names everything that is missing."""
    missing: list[str] = []
    folder: Any = None
    for obtain in (source.available, lambda: instantiate(checkpoint)):
        try:
            folder = obtain()
        except Exception as error:
            told = find_user_error(error)
            if told is None:
                raise
            missing.append(str(told))
    if missing:
        raise UserError("\n".join(missing))
    return folder
