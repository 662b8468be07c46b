"""The unchanged model, trained for as long as PoWER-BERT: what is merely due to more training."""

from collections.abc import Mapping
from pathlib import Path

from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan
from powerbert.models import load_model
from powerbert.stages import Retrain, Stage


class Dense(Method):
    """Goes on training the fine-tuned model; nothing is swept."""

    def __init__(self, name: str, epochs: int | None = None):
        """Takes the method's settings from `conf/method`.

        Args:
            name: as in the record.
            epochs: of the further training; None for as many as PoWER-BERT's search and re-training.
        """
        self.name = name
        self.epochs = epochs

    @property
    def knob(self) -> Mapping[str, float]:
        """None."""
        return {}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune, and go on."""
        return [finetune_plan(checkpoint), final_plan(self.epochs, {"method": self.name}, self._build)]

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        model = load_model(artifacts["finetune"].path)
        return Retrain(model, context.task, context.optimization, context.seed)
