"""The interface of a method: a few stages, the artifacts each starts from, and one swept knob."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_whole
from powerbert.data.task import Task
from powerbert.measure.settings import LatencySettings
from powerbert.store.artifacts import Artifact

if TYPE_CHECKING:
    from torch import Tensor

    from powerbert.data import TextDataModule
    from powerbert.stages import Optimization, Stage

Artifacts = Mapping[str, Artifact]


@dataclass(frozen=True)
class Context:
    """Everything a method needs to build a stage; `max_length` is in word pieces, `data` is set up.

    The folder `cache` keeps what was measured of this machine. Stages get the `class_weights`, [classes],
    without the method.
    """

    task: Task
    max_length: int
    data: TextDataModule
    optimization: Optimization
    seed: int
    measure: LatencySettings
    cache: Path
    class_weights: Tensor | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class StagePlan:
    """One stage of a method.

    Attributes:
        name: `finetune`, `search` or `retrain`.
        parents: names of the earlier stages whose artifacts it starts from.
        influence: given the earlier artifacts, returns the settings of the method that change the stage's
            result; they are part of the new artifact's address.
        build: makes the stage and its model from the earlier artifacts.
        epochs: of the training, 0 to evaluate only; None for the sum over the stages in `epochs_of`.
        epochs_of: keys of `stages` in the configuration; empty for the stage's own. A model that is not
            fine-tuned any more counts as if it were for `trainer.max_epochs`.
    """

    name: str
    parents: tuple[str, ...]
    influence: Callable[[Artifacts], Mapping[str, Any]]
    build: Callable[[Artifacts, Context], Stage]
    epochs: int | None = None
    epochs_of: tuple[str, ...] = ()


class Method(ABC):
    """A way from a pretrained model to a faster classifier.

    To add one, write a subclass in any importable module and a `method/<name>.yaml` on Hydra's search path
    whose `_target_` names it. Hydra passes the other keys of the yaml to the constructor; `name` is the
    method's name in records.
    """

    name: str

    @property
    @abstractmethod
    def knob(self) -> Mapping[str, float]:
        """Name and value of the setting swept along the trade-off curve; empty if there is none."""

    @abstractmethod
    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """List the stages in order, from a pretrained checkpoint folder to the final model."""

    def identity(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return those of the method's settings that a record's identity consists of."""
        return settings

    def check(self, model_config: Any) -> None:  # noqa: B027
        """Raise ConfigError, naming the setting, if one does not suit the pretrained model's config."""

    @property
    def measured_speed(self) -> float | None:
        """The speed at which the final model is measured, if it has several."""
        return None

    def target(self, artifacts: Artifacts) -> Mapping[str, Any] | None:
        """Return the wanted `speedup`, its `protocol` and the `predicted` one, if a speed-up was wanted."""
        return None

    def metrics(self, artifact: Artifact) -> Mapping[str, Any]:
        """Return the metrics of the final model by split."""
        return artifact.manifest["metrics"]

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Describe the results of a finished stage to the user, a string per line."""
        return []


def finetune_plan(checkpoint: Path) -> StagePlan:
    """Plan stage 1, which is the same for every method: all start from one fine-tuned artifact."""

    def build(_: Artifacts, context: Context) -> Stage:
        from powerbert.models import load_host_model  # heavy, as in the other methods
        from powerbert.stages import FineTune

        fields = context.task.model_fields()
        model = load_host_model(checkpoint, context.task.kind, finished=context.epochs == 0, **fields)
        return FineTune(model, context.task, context.optimization, context.seed)

    return StagePlan("finetune", parents=(), influence=lambda _: {}, build=build)


def final_plan(
    epochs: int | None,
    influence: Mapping[str, Any],
    build: Callable[[Artifacts, Context], Stage],
) -> StagePlan:
    """Plan `retrain`, the one stage that follows fine-tuning in a method without a search.

    Args:
        epochs: None for as many as PoWER-BERT's search and re-training together, so that all methods are
            trained for equally long.
        influence: the method's settings that change the result.
        build: as in `StagePlan`.

    Raises:
        ConfigError: if `epochs` is no whole number of at least 1.
    """
    check_whole("method.epochs", epochs, optional=True)
    epochs_of = ("search", "retrain")
    return StagePlan("retrain", ("finetune",), lambda _: influence, build, epochs, epochs_of)
