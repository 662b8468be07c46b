"""Train once, choose the speed later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_number
from powerbert.base.errors import ConfigError
from powerbert.methods.method import Artifacts, Context, StagePlan
from powerbert.methods.sub_models import SubModels, best_at

if TYPE_CHECKING:
    from powerbert.stages import Stage


@dataclass
class Elastic(SubModels):
    """One model for several speeds; the speed is swept, without training again."""

    speed: float = 2.0
    speeds: Sequence[float] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.speeds = sorted(float(speed) for speed in self.speeds)
        for speed in self.speeds:
            check_number("method.speeds", speed, low=1.0)
        if self.speed not in self.speeds:
            raise ConfigError(f"method.speed: {self.speed} is not one of method.speeds {self.speeds}")

    @property
    def knob(self) -> Mapping[str, float]:
        """The speed."""
        return {"speed": self.speed}

    @property
    def measured_speed(self) -> float:
        """The chosen speed."""
        return self.speed

    def last_plan(self) -> StagePlan:
        """Plan the choice of a sub-model for each speed, without training."""
        influence = {"method": self.name, "speeds": self.speeds}
        return StagePlan("retrain", ("search",), lambda _: influence, self._build_final, epochs=0)

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """List the speeds with the dev metric of each."""
        if stage != "retrain":
            return []
        return [
            f"speed {entry['speed']:g}: {len(entry['encoders'])} encoders, shares {tuple(entry['shares'])}, "
            f"dev {next(iter(entry['metrics']['dev'].values())):.4f}"
            for entry in artifacts[stage].manifest["results"]["speeds"]
        ]

    def metrics(self, artifact: Any) -> Mapping[str, Any]:
        """Return the metrics at the chosen speed."""
        entries = artifact.manifest["results"]["speeds"]
        return next(entry["metrics"] for entry in entries if entry["speed"] == self.speed)

    def _build_final(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import load_model  # heavy
        from powerbert.stages import Choice

        speeds = []
        for speed in self.speeds:
            best = best_at(self.found(artifacts), speed)
            if best is not None:
                speeds.append({"speed": speed, **{k: list(v) for k, v in best.retention._asdict().items()}})
            elif speed <= self.speed:
                reached = ", ".join(format(entry["speed"], "g") for entry in speeds) or "none"
                raise ConfigError(
                    f"method.speed: {self.speed:g} is beyond what this model reaches; of method.speeds it "
                    f"reaches {reached}"
                )
        model: Any = load_model(artifacts["search"].path)
        model.config.speeds = speeds
        model.base_model.set_speed(speeds[0]["speed"])
        return Choice(model, context.task, context.optimization, context.seed)
