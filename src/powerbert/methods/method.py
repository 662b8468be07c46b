"""What a method is: a few stages, each with the artifacts it starts from, and one swept knob."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbert.artifacts import Artifact
from powerbert.data import Task
from powerbert.models import load_host_model
from powerbert.stages import FineTune, Optimization, Stage

Artifacts = Mapping[str, Artifact]


@dataclass(frozen=True)
class Context:
    """What the pipeline knows when a stage is about to be trained.

    Attributes:
        task: the dataset's task.
        max_length: l, in word pieces.
        optimization: the stage's own learning rate and schedule.
        seed: of everything random.
    """

    task: Task
    max_length: int
    optimization: Optimization
    seed: int


@dataclass(frozen=True)
class StagePlan:
    """One stage of a method.

    Attributes:
        name: `finetune`, `search` or `retrain`.
        parents: names of the earlier stages whose artifacts it starts from.
        influence: what of the method's settings changes the stage's result, given the artifacts of
            the stages before it; part of the new artifact's address.
        build: makes the stage, with the model it trains, from those artifacts.
    """

    name: str
    parents: tuple[str, ...]
    influence: Callable[[Artifacts], Mapping[str, Any]]
    build: Callable[[Artifacts, Context], Stage]


class Method(ABC):
    """A way from a pretrained model to a faster classifier.

    Attributes:
        name: as in the record.
    """

    name: str

    @property
    @abstractmethod
    def knob(self) -> Mapping[str, float]:
        """The one setting that is swept along the trade-off curve, by name."""

    @abstractmethod
    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """The stages in order, from a pretrained checkpoint folder to the final model."""

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Lines for the user about what a finished stage found."""
        return []


def finetune_plan(checkpoint: Path) -> StagePlan:
    """Stage 1, the same for every method, so that all start from one fine-tuned artifact."""

    def build(_: Artifacts, context: Context) -> Stage:
        model = load_host_model(checkpoint, context.task.kind, **context.task.model_fields())
        return FineTune(model, context.task, context.optimization, context.seed)

    return StagePlan("finetune", parents=(), influence=lambda _: {}, build=build)
