"""The fine-tuned model as a point of its own, such as with [CLS] alone in the last encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from powerbert.methods.method import Artifacts, Context, Method, StagePlan, finetune_plan
from powerbert.models import load_model
from powerbert.stages import Retrain, Stage


@dataclass
class Unchanged(Method):
    """Evaluate the fine-tuned model and train it no further; nothing is swept."""

    name: str

    @property
    def knob(self) -> Mapping[str, float]:
        """Empty: there is no knob."""
        return {}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune; `retrain` trains for no epoch."""
        influence = {"method": self.name}
        final = StagePlan("retrain", ("finetune",), lambda _: influence, self._build, epochs=0)
        return [finetune_plan(checkpoint), final]

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        model = load_model(artifacts["finetune"].path)
        return Retrain(model, context.task, context.optimization, context.seed)
