"""PoWER-BERT (section 2.3): fine-tune, search the retention configuration, re-train with extract layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbert.elimination import derive_retention_configuration, random_order
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, finetune_plan
from powerbert.models import load_power_model
from powerbert.stages import Retrain, Search, Stage

SIGNIFICANCE = ("significance_diagonal", "significance_pad_queries")
SEARCH = (*SIGNIFICANCE, "soft_extract_protects_cls")
RETRAIN = (*SIGNIFICANCE, "selection")


@dataclass
class PowerBert(Method):
    """Progressive word-vector elimination; lambda is swept.

    With a given `elimination.retention_configuration` there is no search. The settings are those of
    `conf/method`; `elimination` holds the options of `conf/elimination`.
    """

    name: str
    lambda_: float
    retention_learning_rate: float
    elimination: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.lambda_ = float(self.lambda_)
        self.retention_learning_rate = float(self.retention_learning_rate)
        given = self.elimination["retention_configuration"]
        self.given = None if given is None else list(given)

    @property
    def knob(self) -> Mapping[str, float]:
        """Lambda; empty if the retention configuration is given."""
        return {"lambda": self.lambda_} if self.given is None else {}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune, search unless the configuration is given, re-train."""
        search = StagePlan("search", ("finetune",), self._search_influence, self._build_search)
        retrain = StagePlan("retrain", (self._start,), self._retrain_influence, self._build_retrain)
        return [finetune_plan(checkpoint), *([search] if self.given is None else []), retrain]

    def retention_configuration(self, artifacts: Artifacts) -> list[int]:
        """Return the given configuration, or derive it from the masses of the search (section 2.2)."""
        if self.given is not None:
            return self.given
        mass = artifacts["search"].manifest["results"]["mass"]
        return derive_retention_configuration(mass, rounding=self.elimination["rounding"])

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Report the masses and the retention configuration after the search."""
        if stage != "search":
            return []
        mass = artifacts["search"].manifest["results"]["mass"]
        return [
            f"mass ({', '.join(f'{value:.1f}' for value in mass)})",
            f"retention configuration {tuple(self.retention_configuration(artifacts))}",
        ]

    @property
    def _start(self) -> str:
        """Name of the stage whose weights re-training starts from."""
        return self.elimination["retrain_from"] if self.given is None else "finetune"

    def _options(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.elimination[name] for name in names}

    def _search_influence(self, _: Artifacts) -> dict[str, Any]:
        rate = self.retention_learning_rate
        return {"lambda": self.lambda_, "retention_learning_rate": rate, **self._options(SEARCH)}

    def _build_search(self, artifacts: Artifacts, context: Context) -> Stage:
        model = load_power_model(
            artifacts["finetune"].path,
            task=context.task.kind,
            soft_extract_length=context.max_length,
            **self._options(SEARCH),
        )
        return Search(
            model,
            context.task,
            context.optimization,
            context.seed,
            lambda_=self.lambda_,
            retention_learning_rate=self.retention_learning_rate,
        )

    def _retrain_influence(self, artifacts: Artifacts) -> dict[str, Any]:
        configuration = self.retention_configuration(artifacts)
        return {"retention_configuration": configuration, **self._options(RETRAIN)}

    def _build_retrain(self, artifacts: Artifacts, context: Context) -> Stage:
        drawn = self.elimination["selection"] == "rand"
        model = load_power_model(
            artifacts[self._start].path,
            task=context.task.kind,
            retention_configuration=self.retention_configuration(artifacts),
            selection_order=random_order(context.max_length, context.seed) if drawn else None,
            **self._options(RETRAIN),
        )
        return Retrain(model, context.task, context.optimization, context.seed)
