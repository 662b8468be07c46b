"""Run a method's stages in order, reuse finished artifacts, measure, and write the record."""

import logging
import time
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import Logger

from powerbert.base.errors import ConfigError, DataError
from powerbert.data import TextDataModule
from powerbert.data.class_weights import weigh_classes
from powerbert.methods import Context, StagePlan
from powerbert.models import as_power_model, load_tokenizer, quiet_transformers
from powerbert.run.checks import LIMITS
from powerbert.run.loggers import finish
from powerbert.run.record import build_record
from powerbert.run.settings import Settings
from powerbert.ship import write_model_card
from powerbert.stages.faults import explaining_memory
from powerbert.stages.processes import fit_on_devices
from powerbert.store.artifacts import Artifact, ArtifactStore
from powerbert.store.chain import chain_of, dense_ancestor
from powerbert.store.records import find_record, write_record

log = logging.getLogger(__name__)


def run(settings: Settings) -> dict[str, Any] | None:
    """Produce one trade-off point, reusing finished stages.

    Returns:
        The record, or None when `settings.stage` is a stage before the last.

    Raises:
        UserError: if a training, the data or an artifact does not allow it.
    """
    point = Run(settings)
    record = None
    try:
        record = point.record()
    finally:
        finish(point.loggers or [], record)
    return record


class Run:
    """One run: what its stages share."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.start = Artifact.find(settings.checkpoint)
        self.chain = chain_of(self.start)
        self.store = ArtifactStore(settings.artifacts)
        self.loggers: list[Logger] | None = None
        self._data: dict[int, TextDataModule] = {}

    def record(self) -> dict[str, Any] | None:
        """Run the stages up to the last one asked for, then find or write the record."""
        settings = self.settings
        last = settings.plans[-1].name
        whole = settings.stage == last
        identity = ArtifactStore.hash(settings.identity)
        known = find_record(settings.records, identity) if whole else None
        if known is not None and settings.skip_recorded:
            log.info("record: found, skipped")
            return known
        self._check_batches()
        artifacts: dict[str, Artifact] = {}
        for plan in settings.plans:
            artifacts[plan.name] = self._artifact(plan, artifacts)
            for line in settings.method.findings(plan.name, artifacts):
                log.info("%s: %s", plan.name, line)
            if plan.name == settings.stage:
                break
        if not whole:
            return None
        if known is not None:
            log.info("record: reused")
        record = self._measure(artifacts) if known is None else known
        write_model_card(artifacts[last].path, record, artifacts[last].manifest)
        if known is None:  # last, since a point with a record counts as done
            log.info("record: %s", write_record(settings.records, record))
        return record

    def _check_batches(self) -> None:
        """Raise ConfigError, before any stage is trained, for a setting that leaves one without batches."""
        for name, stage in self.settings.stages.items():
            limits = {key: stage.trainer.get(key) for key in LIMITS}
            every = stage.trainer.get("val_check_interval")
            shares = [limit for limit in limits.values() if isinstance(limit, float) and limit < 1]
            if not shares and not isinstance(every, int):
                continue
            data = self._data_module(stage.batch_size)
            loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
            left = []
            for (key, limit), loader in zip(limits.items(), loaders, strict=True):
                batches = len(loader)
                left.append(
                    int(limit * batches) if isinstance(limit, float) else min(limit or batches, batches)
                )
                if left[-1] < 1:
                    raise ConfigError(f"trainer.{key}: {limit} of the {batches} batches is none ({name})")
            by_epoch = stage.trainer.get("check_val_every_n_epoch", 1) is not None
            if isinstance(every, int) and every > left[0] and by_epoch:
                raise ConfigError(
                    f"trainer.val_check_interval: {every} exceeds the {left[0]} batches of an epoch ({name})"
                )

    def _artifact(self, plan: StagePlan, artifacts: dict[str, Artifact]) -> Artifact:
        """Find the finished artifact of a stage by its address, or train it."""
        settings, stage_settings = self.settings, self.settings.stages[plan.name]
        alone = settings.cls_alone and plan is settings.plans[-1]
        identity = {
            "stage": plan.name,
            **settings.inputs,
            "seed": settings.seed,
            "training": stage_settings.influence,
            "settings": {**plan.influence(artifacts), **({"cls_alone": True} if alone else {})},
            "parents": [artifacts[parent].id for parent in plan.parents],
        }
        name = f"{settings.dataset}-{settings.model}-{plan.name}"
        with self.store.writing(name, identity) as slot:
            self.chain.append(
                {
                    "artifact": slot.path.name,
                    "stage": plan.name,
                    "method": settings.method.name,
                    "knob": dict(settings.method.knob),
                    "epochs": stage_settings.trainer["max_epochs"],
                }
            )
            if slot.artifact is not None:
                log.info("%s: reused %s", plan.name, slot.artifact.path)
                return slot.artifact
            log.info("%s: training %s", plan.name, slot.path)
            seed_everything(settings.seed, verbose=False)
            data = self._data_module(stage_settings.batch_size)
            context = Context(
                settings.task,
                data.max_length,
                data,
                stage_settings.optimization,
                settings.seed,
                settings.measure,
                settings.cache,
                weigh_classes(settings.class_weights, settings.task, data.dataset["train"]),
                stage_settings.trainer["max_epochs"],
            )
            stage = plan.build(artifacts, context)
            stage.class_weights = context.class_weights
            resumed, start = any(slot.checkpoints.glob("*.ckpt")), time.perf_counter()
            metrics = fit_on_devices(
                stage,
                data,
                stage_settings.trainer,
                self._loggers(),
                slot.checkpoints,
                settings.checkpoint_interval,
            )
            stage.complete(data)
            seconds = None if resumed else round(time.perf_counter() - start, 1)
            model = as_power_model(stage.model, cls_alone=True) if alone else stage.model
            with quiet_transformers():
                model.save_pretrained(slot.artifact_folder)
            if settings.task.is_reranking:  # a CrossEncoder truncates where the tokenizer says
                data.tokenizer.model_max_length = data.max_length
            data.tokenizer.save_pretrained(slot.artifact_folder)
            return slot.finish(
                metrics=metrics,
                results=dict(stage.results()),
                seconds=seconds,
                max_length=data.max_length,
                chain=self.chain,
                config=settings.config,
            )

    def _measure(self, artifacts: dict[str, Artifact]) -> dict[str, Any]:
        settings = self.settings
        data = self._data_module(settings.batch_size)
        folders = [self.store.root, settings.checkpoint.parent]
        baseline = dense_ancestor(self.start, folders, settings.inputs["dataset"]) or artifacts["finetune"]
        with explaining_memory(lambda: "measure: out of memory; set a smaller measure.padded_batch_size"):
            return build_record(settings, artifacts, baseline, self.chain, data)

    def _data_module(self, batch_size: int) -> TextDataModule:
        if batch_size not in self._data:
            settings = self.settings
            data = TextDataModule(
                settings.source,
                settings.task,
                load_tokenizer(settings.checkpoint),
                batch_size=batch_size,
                seed=settings.seed,
            )
            data.setup()
            if settings.source.fingerprint() != settings.inputs["dataset"]["content"]:
                raise DataError(
                    f"dataset '{settings.task.name}': its files changed during the run; start again"
                )
            settings.check_length(data.max_length)
            self._data[batch_size] = data
        return self._data[batch_size]

    def _loggers(self) -> list[Logger]:
        if self.loggers is None:
            self.loggers = [instantiate(logger) for logger in self.settings.loggers]
            for logger in self.loggers:
                logger.log_hyperparams(self.settings.hyperparameters)
        return self.loggers
