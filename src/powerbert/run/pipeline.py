"""Runs a method's stages in order, reuses finished artifacts, measures, and writes the record."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from powerbert.base.errors import ConfigError, DataError, UserError, find_user_error
from powerbert.data import Task, TextDataModule
from powerbert.methods import Context, Method, StagePlan
from powerbert.models import load_config, load_tokenizer, quiet_transformers
from powerbert.models.checkpoint import fingerprint
from powerbert.run.loggers import finish
from powerbert.run.record import build_record
from powerbert.run.settings import check_against_model, described, epochs, influence, plain, stage_settings
from powerbert.ship import save_modeling_code, write_model_card
from powerbert.stages import Optimization
from powerbert.stages.faults import explaining_memory
from powerbert.stages.processes import fit_on_devices
from powerbert.store.artifacts import Artifact, ArtifactStore
from powerbert.store.chain import chain_of, dense_ancestor, start_of
from powerbert.store.records import find_record, write_record

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> dict[str, Any] | None:
    """Brings one point of the trade-off about, as far as it is not there yet.

    Args:
        cfg: the composed configuration of `conf/train.yaml`, already checked by `config.check`.

    Returns:
        The record, or None when `stage` names a stage before the last.

    Raises:
        UserError: if data or model cannot be had, or a setting does not fit the model.
    """
    point = Run(cfg)
    record = None
    try:
        record = point.record()
    finally:
        finish(point.loggers or [], record)
    return record


class Run:
    """One point on its way: what is resolved once and then shared by its stages."""

    def __init__(self, cfg: DictConfig):
        self.cfg = cfg
        self.source = instantiate(cfg.dataset.source)
        self.task = Task.from_config(cfg.dataset, self.source)
        cfg.dataset.evaluation_split = (
            self.task.evaluation_split
        )  # manifests and records hold the split itself
        self.checkpoint = _obtain_inputs(cfg, self.source)
        self.model_config = load_config(self.checkpoint)
        check_against_model(cfg, self.model_config)
        self.method: Method = instantiate(cfg.method)
        self.method.check(self.model_config)
        self.plans = self.method.plans(self.checkpoint)
        self.start = start_of(self.checkpoint)
        self.chain = chain_of(self.start)
        self.store = ArtifactStore(Path(cfg.paths.artifacts))
        self.loggers: list[Logger] | None = None
        self._data: dict[int, TextDataModule] = {}
        self._inputs: dict[str, Any] = {
            "model": fingerprint(self.checkpoint),
            "dataset": {"content": self.source.fingerprint(), **self.task.influence()},
        }

    def record(self) -> dict[str, Any] | None:
        """The stages up to `stage`, then the record."""
        names = [plan.name for plan in self.plans]
        if self.cfg.stage not in names:
            raise ConfigError(
                f"stage: method '{self.method.name}' has no stage '{self.cfg.stage}' here; "
                f"it has {', '.join(names)}"
            )
        whole = self.cfg.stage == names[-1]
        known = self._known_record() if whole else None
        if known is not None and self.cfg.skip_recorded:
            log.info("record: there already, skipped")
            return known
        artifacts: dict[str, Artifact] = {}
        for plan in self.plans:
            artifacts[plan.name] = self._artifact(plan, artifacts)
            self._announce(plan.name, artifacts)
            if plan.name == self.cfg.stage:
                break
        if not whole:
            return None
        if known is not None:
            log.info("record: reused")
        record = self._measure(artifacts) if known is None else known
        final = artifacts[names[-1]]
        write_model_card(final.path, record, final.manifest)
        if known is None:  # last, since a point with a record is taken for done
            log.info("record: %s", write_record(Path(self.cfg.records), record))
        return record

    def _artifact(self, plan: StagePlan, artifacts: dict[str, Artifact]) -> Artifact:
        """The finished artifact of a stage: found by its address, or trained now."""
        optimization, trainer = self._settings(plan)
        identity = {
            "stage": plan.name,
            **self._inputs,
            "seed": self.cfg.seed,
            "training": influence(optimization, trainer),
            "settings": plan.influence(artifacts),
            "parents": [artifacts[parent].id for parent in plan.parents],
        }
        name = f"{self.cfg.dataset.name}-{self.cfg.model.name}-{plan.name}"
        with self.store.writing(name, identity) as slot:
            self.chain.append(
                {
                    "artifact": slot.path.name,
                    "stage": plan.name,
                    "method": self.method.name,
                    "knob": dict(self.method.knob),
                    "epochs": trainer["max_epochs"],
                }
            )
            if slot.artifact is not None:
                log.info("%s: reused %s", plan.name, slot.artifact.path)
                return slot.artifact
            log.info("%s: training %s", plan.name, slot.path)
            seed_everything(self.cfg.seed, verbose=False)
            data = self._data_module(optimization.pop("batch_size"))
            context = Context(self.task, data.max_length, data, Optimization(**optimization), self.cfg.seed)
            stage = plan.build(artifacts, context)
            interval = timedelta(minutes=self.cfg.checkpoint_minutes)
            metrics = fit_on_devices(stage, data, trainer, self._loggers(), slot.checkpoints, interval)
            with quiet_transformers():
                stage.model.save_pretrained(slot.artifact_folder)
            data.tokenizer.save_pretrained(slot.artifact_folder)
            save_modeling_code(stage.model, slot.artifact_folder)
            return slot.finish(
                metrics=metrics,
                results=dict(stage.results()),
                max_length=data.max_length,
                chain=self.chain,
                config=described(self.cfg),
            )

    def _announce(self, stage: str, artifacts: dict[str, Artifact]) -> None:
        for line in self.method.findings(stage, artifacts):
            log.info("%s: %s", stage, line)

    def _settings(self, plan: StagePlan) -> tuple[dict[str, Any], dict[str, Any]]:
        """The stage's settings of the optimization and of Lightning, with the epochs that it has."""
        optimization, trainer = stage_settings(self.cfg, plan.name)
        return optimization, trainer | {"max_epochs": epochs(self.cfg, plan)}

    def _identity(self) -> dict[str, Any]:
        """What determines the record; known before anything is trained."""
        return {
            "method": plain(self.cfg.method),
            **self._inputs,
            "seed": self.cfg.seed,
            "training": {plan.name: influence(*self._settings(plan)) for plan in self.plans},
            "measure": plain(self.cfg.measure),
            "longer_than": self.cfg.longer_than,
        }

    def _known_record(self) -> dict[str, Any] | None:
        return find_record(Path(self.cfg.records), ArtifactStore.hash(self._identity()))

    def _measure(self, artifacts: dict[str, Artifact]) -> dict[str, Any]:
        data = self._data_module(self.cfg.batch_size)
        folders = [self.store.root, self.checkpoint.parent]
        baseline = dense_ancestor(self.start, folders, self._inputs["dataset"]) or artifacts["finetune"]
        identity, chain = self._identity(), self.chain
        with explaining_memory(lambda: "measure: out of memory; set a smaller measure.padded_batch_size"):
            return build_record(self.cfg, self.method, artifacts, baseline, chain, data, identity)

    def _data_module(self, batch_size: int) -> TextDataModule:
        if batch_size not in self._data:
            data = TextDataModule(
                self.source,
                self.task,
                load_tokenizer(self.checkpoint),
                batch_size=batch_size,
                seed=self.cfg.seed,
            )
            data.setup()
            if self.source.fingerprint() != self._inputs["dataset"]["content"]:
                raise DataError(f"dataset '{self.task.name}': its files changed meanwhile; start again")
            check_against_model(self.cfg, self.model_config, data.max_length)
            self._data[batch_size] = data
        return self._data[batch_size]

    def _loggers(self) -> list[Logger]:
        if self.loggers is None:
            self.loggers = [instantiate(settings) for settings in self.cfg.logger.values()]
            for logger in self.loggers:
                logger.log_hyperparams(plain(self.cfg))
        return self.loggers


def _obtain_inputs(cfg: DictConfig, source: Any) -> Path:
    """Makes sure of data and model before anything is loaded; one message says all that is missing."""
    missing: list[str] = []
    checkpoint = Path()
    for obtain in (source.available, lambda: instantiate(cfg.model.checkpoint)):
        try:
            checkpoint = obtain()
        except Exception as error:
            told = find_user_error(error)
            if told is None:
                raise
            missing.append(str(told))
    if missing:
        raise UserError("\n".join(missing))
    return checkpoint
