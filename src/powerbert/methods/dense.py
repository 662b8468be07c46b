"""The unchanged model: as it is, and trained for as long as PoWER-BERT, the effect of more training alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan

if TYPE_CHECKING:
    from powerbert.stages import Stage


@dataclass
class Dense(Method):
    """Continue training the fine-tuned model; nothing is swept. The settings are those of `conf/method`."""

    name: str
    epochs: int | None = None

    @property
    def knob(self) -> Mapping[str, float]:
        """Empty: there is no knob."""
        return {}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune, then train further."""
        return [finetune_plan(checkpoint), final_plan(self.epochs, {"method": self.name}, self._build)]

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import load_model  # heavy
        from powerbert.stages import Retrain

        model = load_model(artifacts["finetune"].path)
        return Retrain(model, context.task, context.optimization, context.seed)


@dataclass
class Unchanged(Dense):
    """Evaluate the fine-tuned model and train it no further: with [CLS] alone it is a point of its own."""

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune; `retrain` trains for no epoch."""
        influence = {"method": self.name}
        final = StagePlan("retrain", ("finetune",), lambda _: influence, self._build, epochs=0)
        return [finetune_plan(checkpoint), final]
