"""Fewer encoders, shares of each input's length and distillation together, for one wanted speed-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_number, check_whole
from powerbert.base.errors import ConfigError
from powerbert.methods.evolution import Evaluated
from powerbert.methods.method import Artifacts, Context, StagePlan
from powerbert.methods.sub_models import SubModels, best_at

if TYPE_CHECKING:
    from powerbert.stages import Stage


@dataclass
class Combined(SubModels):
    """Find the best sub-model for a wanted speed-up, and re-train it alone with the teacher; swept.

    All speed-ups share the training of sub-models, also with `Elastic`.
    """

    target_speedup: float | None = None
    encoders: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_speedup is None:
            self.target_speedup = 2.0
        check_number("target_speedup", self.target_speedup, low=1.0, strict=True)

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with the wanted speed-up that holds if none is given."""
        return {**settings, "target_speedup": self.target_speedup}

    @property
    def knob(self) -> Mapping[str, float]:
        """The wanted speed-up."""
        assert self.target_speedup is not None
        return {"target_speedup": self.target_speedup}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the wanted number of encoders is that of a sub-model."""
        from powerbert.models import num_encoders  # heavy

        super().check(model_config)
        fewest, most = self.depths(num_encoders(model_config))
        check_whole("method.encoders", self.encoders, fewest, most, optional=True)

    def last_plan(self) -> StagePlan:
        """Plan the re-training of the chosen sub-model."""
        return StagePlan("retrain", ("search", "finetune"), self._influence, self._build_final)

    def target(self, artifacts: Artifacts) -> Mapping[str, Any]:
        """Return the wanted speed-up and the predicted one."""
        predicted = 1 / self.chosen(artifacts).cost
        return {"speedup": self.target_speedup, "protocol": self.target_protocol, "predicted": predicted}

    def chosen(self, artifacts: Artifacts) -> Evaluated:
        """Return the sub-model that the search found best for the wanted speed-up."""
        points = self.found(artifacts)
        if self.encoders is not None:
            points = [point for point in points if len(point.retention.encoders) == self.encoders]
        assert self.target_speedup is not None
        best = best_at(points, self.target_speedup)
        if best is None:
            most = 1 / min(point.cost for point in points)
            raise ConfigError(
                f"target_speedup: {self.target_speedup:g} is out of reach; the sub-models reach {most:.1f}; "
                "set a smaller method.fewest_encoders or a larger method.steepest"
            )
        return best

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Report the chosen sub-model after the search."""
        if stage != "search":
            return []
        best = self.chosen(artifacts)
        return [
            f"{len(best.retention.encoders)} encoders, retention shares {best.retention.shares}",
            f"predicted speed-up {1 / best.cost:.2f}x ({self.target_protocol})",
        ]

    def _influence(self, artifacts: Artifacts) -> dict[str, Any]:
        retention = {name: list(value) for name, value in self.chosen(artifacts).retention._asdict().items()}
        learnt = {name: getattr(self, name) for name in ("alpha", "temperature", "beta", "recombined")}
        return {"method": self.name, **retention, **learnt}

    def _build_final(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import as_power_model, load_host_model, load_model, take_encoders
        from powerbert.stages import Retrain

        retention = self.chosen(artifacts).retention
        model = as_power_model(
            take_encoders(load_host_model(artifacts["search"].path, context.task.kind), retention.encoders),
            retention_shares=list(retention.shares),
            cls_alone=True,
            significance=self.significance,
        )
        return Retrain(
            model,
            context.task,
            context.optimization,
            context.seed,
            teacher=load_model(artifacts["finetune"].path),
            objective=self.objective_of(retention, context.task.has_binary_logits),
            recombined=self.recombined,
        )
