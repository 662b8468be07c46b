"""DistilBERT (Sanh et al. 2019), distilled on the task: a student of some of its teacher's encoders."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from powerbert.base.checks import check_choice, check_whole
from powerbert.base.errors import ConfigError
from powerbert.methods.distillation import Distillation, distillation_plans, evenly_spread
from powerbert.methods.method import Context, Method, StagePlan


@dataclass
class DistilBert(Method):
    """Distil the fine-tuned model into k of its encoders; k is swept.

    Minimises a `Distillation` with its cosine term. The settings are those of `conf/method`; ConfigError
    names one that is out of range.
    """

    name: str
    encoders: int
    alpha: float
    temperature: float
    cosine: float
    student: str | None = None
    epochs: int | None = None
    start: str | None = None

    def __post_init__(self) -> None:
        Distillation(self.alpha, self.temperature, cosine=self.cosine)
        if self.start is not None:
            check_choice("method.start", self.start, ("first",))

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings without a `start` that is null, which older records lack."""
        return {key: value for key, value in settings.items() if key != "start" or value is not None}

    @cached_property
    def distilled(self) -> Path | None:
        """The folder of `student`."""
        from powerbert.models.checkpoint import local_or_hub  # heavy

        return None if self.student is None else local_or_hub(self.student)

    @property
    def knob(self) -> Mapping[str, float]:
        """The number of encoders, k."""
        return {"encoders": self.encoders}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the student is smaller and, for a cosine loss, as wide as its teacher."""
        from powerbert.models import load_config, num_encoders

        check_whole("method.encoders", self.encoders, high=num_encoders(model_config) - 1)
        if self.distilled is None:
            return
        start = load_config(self.distilled)
        if num_encoders(start) < self.encoders:
            raise ConfigError(
                f"method.encoders: {self.encoders} exceeds the {num_encoders(start)} encoders of "
                f"method.student {self.distilled}"
            )
        if self.cosine and start.hidden_size != model_config.hidden_size:
            raise ConfigError(
                f"method.student: its hidden size {start.hidden_size} differs from the teacher's "
                f"{model_config.hidden_size}; set method.cosine=0"
            )

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher and distil it."""
        from powerbert.models.checkpoint import fingerprint

        student = None if self.distilled is None else fingerprint(self.distilled)
        influence = {"cosine": self.cosine, "student": student}
        influence |= self.identity({"start": self.start})
        objective = Distillation(self.alpha, self.temperature, cosine=self.cosine)
        return distillation_plans(checkpoint, self, influence, self._student, lambda _: objective)

    def _student(self, finetuned: Path, context: Context) -> Any:
        from powerbert.models import load_host_model, load_model, num_encoders, take_encoders

        if self.distilled is None:
            teacher = load_model(finetuned)
            spread = evenly_spread(num_encoders(teacher.config), self.encoders)
            return take_encoders(teacher, spread if self.start is None else range(self.encoders))
        start = load_host_model(self.distilled, context.task.kind, **context.task.model_fields())
        return take_encoders(start, range(self.encoders))
