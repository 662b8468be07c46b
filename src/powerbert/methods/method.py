"""What a method is: a few stages, each with the artifacts it starts from, and one swept knob."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbert.data import Task, TextDataModule
from powerbert.models import load_host_model
from powerbert.stages import FineTune, Optimization, Stage
from powerbert.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]


@dataclass(frozen=True)
class Context:
    """What the pipeline knows when a stage is about to be trained.

    Attributes:
        task: the dataset's task.
        max_length: l, in word pieces.
        data: its batches; already set up.
        optimization: the stage's own learning rate and schedule.
        seed: of everything random.
    """

    task: Task
    max_length: int
    data: TextDataModule
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
        epochs: of the training; None for those of the stages in `epochs_of` together.
        epochs_of: names of stages of the configuration; by default the stage's own.
    """

    name: str
    parents: tuple[str, ...]
    influence: Callable[[Artifacts], Mapping[str, Any]]
    build: Callable[[Artifacts, Context], Stage]
    epochs: int | None = None
    epochs_of: tuple[str, ...] = ()


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

    def check(self, model_config: Any) -> None:  # noqa: B027
        """Checks the settings whose bounds the pretrained model gives.

        Args:
            model_config: its transformers configuration.

        Raises:
            ConfigError: naming the setting.
        """

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Lines for the user about what a finished stage found."""
        return []


def final_plan(
    epochs: int | None,
    influence: Mapping[str, Any],
    build: Callable[[Artifacts, Context], Stage],
) -> StagePlan:
    """The training of a smaller model that the fine-tuned one gives, for all methods without a search.

    It goes by the name `retrain` and lasts, unless told otherwise, as many epochs as PoWER-BERT's search and
    re-training together, so that every method is trained for equally long.

    Args:
        epochs: None for as many.
        influence: the method's settings that change the result.
        build: as of `StagePlan`.
    """
    return StagePlan(
        "retrain",
        parents=("finetune",),
        influence=lambda _: influence,
        build=build,
        epochs=epochs,
        epochs_of=("search", "retrain"),
    )


def finetune_plan(checkpoint: Path) -> StagePlan:
    """Stage 1, the same for every method, so that all start from one fine-tuned artifact."""

    def build(_: Artifacts, context: Context) -> Stage:
        model = load_host_model(checkpoint, context.task.kind, **context.task.model_fields())
        return FineTune(model, context.task, context.optimization, context.seed)

    return StagePlan("finetune", parents=(), influence=lambda _: {}, build=build)
