"""BERT-PKD (Sun et al. 2019): a student of the first encoders learns patiently, encoder by encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbert.base.checks import check_whole
from powerbert.methods.distillation import Distillation, distillation_plans, skip_map
from powerbert.methods.method import Context, Method, StagePlan


@dataclass
class BertPkd(Method):
    """Distil into the pretrained model's first k encoders with a new classifier; k is swept.

    Minimises a `Distillation`, whose patient term compares the student's first k - 1 encoders with those
    they imitate (PKD-Skip). The settings are those of `conf/method`; ConfigError names one that is out of
    range.
    """

    name: str
    encoders: int
    alpha: float
    temperature: float
    beta: float
    epochs: int | None = None

    def __post_init__(self) -> None:
        Distillation(self.alpha, self.temperature, beta=self.beta)

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.encoders}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the student is smaller than its teacher."""
        from powerbert.models import num_encoders  # heavy

        check_whole("method.encoders", self.encoders, high=num_encoders(model_config) - 1)

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher and distil it into the first encoders of the pretrained model."""
        from powerbert.models import load_host_model, take_encoders

        def student(_: Path, context: Context) -> Any:
            pretrained = load_host_model(checkpoint, context.task.kind, **context.task.model_fields())
            return take_encoders(pretrained, range(self.encoders))

        def objective(encoders: int) -> Distillation:
            imitated = list(enumerate(skip_map(encoders, self.encoders), start=1))
            return Distillation(self.alpha, self.temperature, beta=self.beta, imitated=imitated)

        return distillation_plans(checkpoint, self, {"beta": self.beta}, student, objective)
