"""PoWER-BERT (section 2.3): fine-tune, search the retention configuration, re-train with extract layers.

The paper's method, and what goes beyond it by settings: shares of each input's length, distillation, true
cost as the objective, a wanted speed-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_choice, check_number, check_whole
from powerbert.base.environment import default_device
from powerbert.base.errors import ConfigError
from powerbert.measure.settings import KINDS, PROTOCOLS
from powerbert.methods.distillation import Distillation
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, finetune_plan

if TYPE_CHECKING:
    from powerbert.stages import Regularizer, Stage

SIGNIFICANCE = ("significance_diagonal", "significance_pad_queries", "significance")
SEARCH = (*SIGNIFICANCE, "soft_extract_protects_cls")
RETRAIN = (*SIGNIFICANCE, "selection")

PAPER: Mapping[str, Any] = {
    "significance": "received",
    "unit": "count",
    "regularizer": "mass",
    "protect": None,
}
"""Options of the elimination that came after the paper, and what it does; identities leave that out."""
BEYOND = ("teacher", "target_speedup", "cls_alone")
"""Settings of the method that came after the paper, which has none of them; identities leave out null."""


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
    teacher: str | None = None
    alpha: float = 0.5
    temperature: float = 2.0
    beta: float = 0.0
    target_speedup: float | None = None
    target_protocol: str = "dynamic"
    cls_alone: bool = False

    def __post_init__(self) -> None:
        self.lambda_ = float(self.lambda_)
        self.retention_learning_rate = float(self.retention_learning_rate)
        given = self.elimination["retention_configuration"]
        self.given = None if given is None else list(given)
        self.shares = self.elimination["unit"] == "share"
        check_choice("elimination.unit", self.elimination["unit"], ("count", "share"))
        check_choice("elimination.regularizer", self.elimination["regularizer"], ("mass", "cost"))
        check_choice("elimination.cost", self.elimination["cost"], KINDS)
        check_whole("elimination.bins", self.elimination["bins"])
        check_choice("target_protocol", self.target_protocol, PROTOCOLS)
        if self.teacher is not None:
            check_choice("method.teacher", self.teacher, ("finetune",))
        Distillation(self.alpha, self.temperature, beta=self.beta)
        if self.target_speedup is not None:
            check_number("target_speedup", self.target_speedup, low=1.0, strict=True)
            if self.elimination["regularizer"] != "cost":
                raise ConfigError("target_speedup: it needs elimination.regularizer=cost")
            if self.given is not None:
                raise ConfigError("target_speedup: there is no search with a given retention_configuration")

    @property
    def knob(self) -> Mapping[str, float]:
        """Lambda or the wanted speed-up; empty if the retention configuration is given."""
        if self.given is not None:
            return {}
        if self.target_speedup is not None:
            return {"target_speedup": self.target_speedup}
        return {"lambda": self.lambda_}

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings without those that came after the paper, where they are as in the paper."""
        own = {key: value for key, value in settings.items() if key not in BEYOND or value}
        elimination = dict(own["elimination"])
        if self.elimination["regularizer"] == "mass":
            del elimination["cost"]
        if not self.shares:
            del elimination["bins"]
        for key, value in PAPER.items():
            if elimination[key] == value:
                del elimination[key]
        if self.teacher is None:
            for key in ("alpha", "temperature", "beta"):
                del own[key]
        if self.target_speedup is None:
            del own["target_protocol"]
        return own | {"elimination": elimination}

    def check(self, model_config: Any) -> None:
        """Raise ConfigError, naming the setting, if one does not suit the pretrained model's config."""
        from powerbert.elimination import validate_retention_configuration, validate_retention_shares
        from powerbert.models import num_encoders  # heavy, here and below

        if self.given is None:
            return
        validate = validate_retention_shares if self.shares else validate_retention_configuration
        try:
            validate(self.given, num_encoders(model_config))
        except ConfigError as error:
            raise ConfigError(f"elimination.retention_configuration: {error}") from error

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune, search unless the configuration is given, re-train."""
        search = StagePlan("search", ("finetune",), self._search_influence, self._build_search)
        parents = (self._start,) if self.teacher is None else tuple(dict.fromkeys((self._start, "finetune")))
        retrain = StagePlan("retrain", parents, self._retrain_influence, self._build_retrain)
        return [finetune_plan(checkpoint), *([search] if self.given is None else []), retrain]

    def retention(self, artifacts: Artifacts) -> dict[str, list[int] | list[float]]:
        """Return the elimination field of the final model: given, or from what the search found."""
        from powerbert.elimination import derive_retention_configuration

        field = "retention_shares" if self.shares else "retention_configuration"
        if self.given is not None:
            return {field: self.given}
        found = artifacts["search"].manifest["results"]
        if self.shares:
            chosen = found["shares"]
        else:
            chosen = derive_retention_configuration(found["mass"], rounding=self.elimination["rounding"])
        return {field: [*chosen[:-1], 0.0 if self.shares else 1] if self.cls_alone else chosen}

    def target(self, artifacts: Artifacts) -> Mapping[str, Any] | None:
        """Return the wanted speed-up and what the search predicts."""
        if self.target_speedup is None:
            return None
        predicted = artifacts["search"].manifest["results"]["predicted_speedup"]
        return {"speedup": self.target_speedup, "protocol": self.target_protocol, "predicted": predicted}

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Report the masses or shares, and the retention configuration, after the search."""
        if stage != "search":
            return []
        found = artifacts["search"].manifest["results"]
        ((_, chosen),) = self.retention(artifacts).items()
        lines = [f"retention {'shares' if self.shares else 'configuration'} {tuple(chosen)}"]
        if "mass" in found:
            lines.insert(0, f"mass ({', '.join(f'{value:.1f}' for value in found['mass'])})")
        if "predicted_speedup" in found:
            lines.append(f"predicted speed-up {found['predicted_speedup']:.2f}x ({self.target_protocol})")
        return lines

    @property
    def _start(self) -> str:
        """Name of the stage whose weights re-training starts from."""
        return self.elimination["retrain_from"] if self.given is None else "finetune"

    def _options(self, names: tuple[str, ...]) -> dict[str, Any]:
        options = {name: self.elimination[name] for name in names}
        return {key: value for key, value in options.items() if PAPER.get(key) != value}

    def _beyond(self) -> dict[str, Any]:
        """Return the settings that influence search and re-training and are not as in the paper."""
        learnt = {key: getattr(self, key) for key in ("teacher", "alpha", "temperature", "beta")}
        return {
            **(learnt if self.teacher is not None else {}),
            **({"cls_alone": True} if self.cls_alone else {}),
            **self._options(("protect",)),
        }

    def _search_influence(self, _: Artifacts) -> dict[str, Any]:
        rate = self.retention_learning_rate
        influence = {"retention_learning_rate": rate, **self._options(SEARCH), **self._beyond()}
        if self.shares:
            influence["bins"] = self.elimination["bins"]
        if self.elimination["regularizer"] == "cost":
            influence |= {"cost": self.elimination["cost"], "target_protocol": self.target_protocol}
        if self.target_speedup is not None:
            return influence | {"target_speedup": self.target_speedup}
        return influence | {"lambda": self.lambda_}

    def _build_search(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.stages import Search

        length = {"bins": self.elimination["bins"]} if self.shares else {"length": context.max_length}
        fields = {f"soft_extract_{name}": value for name, value in length.items()}
        model = self._model(artifacts, "finetune", context, **fields, **self._options(SEARCH))
        return Search(
            model,
            context.task,
            context.optimization,
            context.seed,
            regularizer=self._regularizer(model, artifacts, context),
            retention_learning_rate=self.retention_learning_rate,
            **self._learning(artifacts, context),
        )

    def _regularizer(self, model: Any, artifacts: Artifacts, context: Context) -> Regularizer:
        from powerbert.measure.cost import cost_model
        from powerbert.models import load_model, num_encoders
        from powerbert.stages import CostRegularizer, MassRegularizer

        if self.elimination["regularizer"] == "mass":
            return MassRegularizer(self.lambda_, context.max_length)
        cost = cost_model(
            model.to(default_device()),
            load_model(artifacts["finetune"].path),
            context.data,
            kind=self.elimination["cost"],
            protocol=self.target_protocol,
            settings=context.measure,
            folder=context.cache,
        )
        return CostRegularizer(
            cost,
            encoders=num_encoders(model.config),
            lambda_=self.lambda_,
            target_speedup=self.target_speedup,
            max_length=context.max_length,
            cls_alone=self.cls_alone,
        )

    def _retrain_influence(self, artifacts: Artifacts) -> dict[str, Any]:
        return {**self.retention(artifacts), **self._options(RETRAIN), **self._beyond()}

    def _build_retrain(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.elimination import random_order
        from powerbert.stages import Retrain

        drawn = self.elimination["selection"] == "rand"
        model = self._model(
            artifacts,
            self._start,
            context,
            **self.retention(artifacts),
            selection_order=random_order(context.max_length, context.seed) if drawn else None,
            **self._options(RETRAIN),
        )
        return Retrain(
            model, context.task, context.optimization, context.seed, **self._learning(artifacts, context)
        )

    def _model(self, artifacts: Artifacts, stage: str, context: Context, **fields: Any) -> Any:
        """Load a stage's model as a power model."""
        from powerbert.models import load_power_model

        if self.cls_alone:
            fields["cls_alone"] = True
        if self.elimination["protect"]:
            fields["protected_until"] = context.data.tokenizer.sep_token_id
            if fields["protected_until"] is None:
                raise ConfigError("elimination.protect: the model's tokenizer has no token between two texts")
        return load_power_model(artifacts[stage].path, task=context.task.kind, **fields)

    def _learning(self, artifacts: Artifacts, context: Context) -> dict[str, Any]:
        """Return the teacher and what a stage learns from it; nothing without a teacher."""
        from powerbert.models import load_model, num_encoders

        if self.teacher is None:
            return {}
        teacher = load_model(artifacts["finetune"].path)
        imitated = [(encoder, encoder) for encoder in range(1, num_encoders(teacher.config))]
        binary = context.task.has_binary_logits
        objective = Distillation(self.alpha, self.temperature, self.beta, imitated=imitated, binary=binary)
        return {"teacher": teacher, "objective": objective}
