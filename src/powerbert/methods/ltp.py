"""Learned Token Pruning (Kim et al. 2022): remove the words that receive less attention than a threshold.

The thresholds are learnt with soft masks; then they are fixed, words are removed, and training continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_number
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, finetune_plan

if TYPE_CHECKING:
    from powerbert.stages import Stage


@dataclass
class Ltp(Method):
    """Fine-tune, learn a threshold for each encoder, train with hard thresholds; lambda is swept.

    The settings are those of `conf/method`; ConfigError names one that is out of range.
    """

    name: str
    regularization: float
    threshold_learning_rate: float
    final_threshold: float = 0.01
    temperature: float = 1e-3

    def __post_init__(self) -> None:
        self.regularization = float(self.regularization)
        check_number("method.regularization", self.regularization)
        check_number("method.threshold_learning_rate", self.threshold_learning_rate)
        check_number("method.final_threshold", self.final_threshold, high=1.0)
        check_number("method.temperature", self.temperature, strict=True)

    @property
    def knob(self) -> Mapping[str, float]:
        """Lambda, the weight of the soft masks."""
        return {"regularization": self.regularization}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune, learn the thresholds, train with them."""
        learnt = {
            "method": self.name,
            **self.knob,
            "threshold_learning_rate": self.threshold_learning_rate,
            "final_threshold": self.final_threshold,
            "temperature": self.temperature,
        }
        return [
            finetune_plan(checkpoint),
            StagePlan("search", ("finetune",), lambda _: learnt, self._build_soft),
            StagePlan("retrain", ("search",), self._thresholds, self._build_hard),
        ]

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Report the thresholds after the soft stage."""
        if stage != "search":
            return []
        thresholds = artifacts["search"].manifest["results"]["thresholds"]
        return [f"thresholds ({', '.join(f'{value:.4f}' for value in thresholds)})"]

    def _build_soft(self, artifacts: Artifacts, context: Context) -> Stage:
        import torch  # heavy, here and below

        from powerbert.models import load_power_model, num_encoders
        from powerbert.stages import SoftThresholds

        model: Any = load_power_model(
            artifacts["finetune"].path, context.task.kind, soft_threshold_temperature=self.temperature
        )
        encoders = num_encoders(model.config)
        rising = self.final_threshold * torch.arange(1, encoders + 1) / encoders
        model.base_model.soft_threshold.thresholds.data.copy_(rising)
        return SoftThresholds(
            model,
            context.task,
            context.optimization,
            context.seed,
            regularization=self.regularization,
            threshold_learning_rate=self.threshold_learning_rate,
        )

    def _thresholds(self, artifacts: Artifacts) -> dict[str, list[float]]:
        """Return the elimination field of the final model."""
        from powerbert.elimination.threshold import validate_retention_thresholds

        thresholds = artifacts["search"].manifest["results"]["thresholds"]
        validate_retention_thresholds(thresholds, len(thresholds))
        return {"retention_thresholds": thresholds}

    def _build_hard(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import load_power_model
        from powerbert.stages import Retrain

        fields = self._thresholds(artifacts)
        model = load_power_model(artifacts["search"].path, context.task.kind, **fields)
        return Retrain(model, context.task, context.optimization, context.seed)
