"""One model for many shares and numbers of encoders, and the search of the best of them at each cost.

After Length-Adaptive Transformer (Kim and Cho 2021), whose sub-models learn from the full one within a step;
here they learn from the fine-tuned model, have its first encoders, and the search weighs measured time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import accumulate, chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_choice, check_number, check_whole
from powerbert.base.environment import default_device, quick_precision
from powerbert.base.errors import ConfigError
from powerbert.elimination.names import SIGNIFICANCES
from powerbert.measure.settings import KINDS, PROTOCOLS, LatencySettings
from powerbert.methods.distillation import Distillation, soft_target_loss
from powerbert.methods.evolution import Evaluated, Retention, evolve, pareto_front
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, finetune_plan

if TYPE_CHECKING:
    from torch import Tensor

    from powerbert.stages import Stage

SPEEDS = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Speed-ups for which the search of retentions starts with some of each depth."""


@dataclass
class SubModels(Method):
    """Train sub-models of several depths and lengths together, then find on dev the best ones at each cost.

    The base of the methods that use such a model, which share the artifact of `search`. The settings are
    those of `conf/method`; ConfigError names one that is out of range.
    """

    name: str
    fewest_encoders: int | None
    most_encoders: int | None
    steepest: float
    evaluations: int
    significance: str
    cost: str
    target_protocol: str
    alpha: float
    temperature: float
    beta: float
    recombined: float
    epochs: int | None

    def __post_init__(self) -> None:
        Distillation(self.alpha, self.temperature, beta=self.beta)
        check_choice("method.significance", self.significance, SIGNIFICANCES)
        check_choice("method.cost", self.cost, KINDS)
        check_choice("target_protocol", self.target_protocol, PROTOCOLS)
        check_number("method.steepest", self.steepest, high=1.0, strict=True)
        check_number("method.recombined", self.recombined, high=1.0)
        check_whole("method.evaluations", self.evaluations)
        check_whole("method.epochs", self.epochs, 0, optional=True)

    def check(self, model_config: Any) -> None:
        """Raise ConfigError unless the model has as many encoders as the sub-models, and all eliminate."""
        from powerbert.models import able_encoders, num_encoders  # heavy, here and below

        if able_encoders(model_config) is not None:
            raise ConfigError(
                f"method: '{self.name}' needs a model all of whose encoders can eliminate; in a "
                f"{model_config.model_type} some cannot. Choose another method"
            )
        fewest, most = self.depths(num_encoders(model_config))
        check_whole("method.most_encoders", most, high=num_encoders(model_config))
        check_whole("method.fewest_encoders", fewest, high=most)

    def depths(self, encoders: int) -> tuple[int, int]:
        """Return the fewest and the most encoders of a sub-model: of so many, from half to two thirds."""
        fewest = -(-encoders // 2) if self.fewest_encoders is None else self.fewest_encoders
        most = max(fewest, 2 * encoders // 3) if self.most_encoders is None else self.most_encoders
        return fewest, most

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher, train all sub-models from its weights, and make the final model of them."""
        own = {field.name: getattr(self, field.name) for field in fields(SubModels)}
        influence = {"method": "elastic", **{key: own[key] for key in own if key not in ("name", "epochs")}}
        epochs, of = self.epochs, ("finetune",) * 3  # three times those of fine-tuning
        search = StagePlan("search", ("finetune",), lambda _: influence, self._build_search, epochs, of)
        return [finetune_plan(checkpoint), search, self.last_plan()]

    @abstractmethod
    def last_plan(self) -> StagePlan:
        """Plan the stage `retrain`, which makes the final model."""

    def objective_of(self, retention: Retention, binary: bool) -> Distillation:
        """Return the objective of a sub-model, each of whose encoders imitates itself in the teacher."""
        imitated = [(own, encoder + 1) for own, encoder in enumerate(retention.encoders[:-1], start=1)]
        return Distillation(self.alpha, self.temperature, self.beta, imitated=imitated, binary=binary)

    def found(self, artifacts: Artifacts) -> list[Evaluated]:
        """Return the sub-models that the search found best, those of each depth by increasing cost."""
        return [
            Evaluated(Retention(tuple(e["encoders"]), tuple(e["shares"])), e["cost"], e["loss"])
            for e in artifacts["search"].manifest["results"]["fronts"]
        ]

    def _build_search(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import as_power_model, load_model, num_encoders
        from powerbert.stages import SubModelTraining

        teacher = load_model(artifacts["finetune"].path)
        finetuned = load_model(artifacts["finetune"].path)
        model = as_power_model(finetuned, cls_alone=True, significance=self.significance)
        return SubModelTraining(
            model,
            context.task,
            context.optimization,
            context.seed,
            teacher=teacher,
            objective=Distillation(self.alpha, self.temperature, beta=self.beta),
            recombined=self.recombined,
            sample=Sampler(*self.depths(num_encoders(teacher.config)), self.steepest),
            objective_of=partial(self.objective_of, binary=context.task.has_binary_logits),
            explore=Explorer(self, context.measure, context.cache, teacher),
        )


def best_at(points: Sequence[Evaluated], speed: float) -> Evaluated | None:
    """Return the sub-model with the least loss at a speed, None if none is that fast.

    Between two neighbours on the front of a depth, shares, cost and loss are interpolated. A depth whose
    slowest sub-model is faster is represented by that one.
    """
    best = []
    for own in sorted({len(point.retention.encoders) for point in points}):
        front = pareto_front(point for point in points if len(point.retention.encoders) == own)
        fast = [point for point in front if point.cost * speed <= 1]
        if fast and len(fast) < len(front):
            best.append(_between(fast[-1], front[len(fast)], 1 / speed))
        elif fast:
            best.append(fast[-1])
    return min(best, key=lambda point: point.loss, default=None)


def _between(one: Evaluated, other: Evaluated, cost: float) -> Evaluated:
    """Interpolate two sub-models with the same encoders."""
    part = (cost - one.cost) / (other.cost - one.cost)
    pairs = zip(one.retention.shares, other.retention.shares, strict=True)
    shares = tuple(round(a + part * (b - a), 4) for a, b in pairs)
    loss = one.loss + part * (other.loss - one.loss)
    return Evaluated(Retention(one.retention.encoders, shares), cost, loss)


@dataclass(frozen=True)
class Sampler:
    """Draws the sub-model of a step.

    The number of encoders is uniform. Each encoder retains all it is given with probability 1/2; else it
    drops a part that is uniform from 0 to `steepest`. The last one retains [CLS] alone.
    """

    fewest: int
    most: int
    steepest: float

    def __call__(self) -> Retention:
        """Return a random sub-model."""
        import torch

        own = self.fewest + int(torch.randint(self.most - self.fewest + 1, ()))
        dropped = torch.rand(own) * self.steepest * (torch.rand(own) < 0.5)
        return retention_of((1 - dropped).tolist())

    def smallest(self) -> Retention:
        """Return the sub-model with the fewest encoders and shares."""
        return retention_of([1 - self.steepest] * self.fewest)


def retention_of(kept: Sequence[float]) -> Retention:
    """Return the sub-model whose first encoders retain these parts of what they are given, the last [CLS]."""
    shares = [round(share, 4) for share in accumulate(kept[:-1], lambda a, b: a * b)]
    return Retention(tuple(range(len(kept))), (*shares, 0.0))


@dataclass(frozen=True)
class Explorer:
    """Finds the sub-models that lose least on dev at each cost: the divergence from the teacher there."""

    method: SubModels
    settings: LatencySettings
    cache: Path
    teacher: Any

    def __call__(self, model: Any, data: Any) -> dict[str, Any]:
        """Return the front of each depth of a trained model, with costs relative to the teacher's."""
        import torch

        from powerbert.measure.cost import cost_model
        from powerbert.measure.evaluation import predict_logits
        from powerbert.models import num_encoders

        base = model.to(default_device()).eval().base_model
        self.teacher.to(model.device)
        encoders = num_encoders(model.config)
        base.set_retention([1.0] * encoders)
        relative = cost_model(
            model,
            self.teacher,
            data,
            kind=self.method.cost,
            protocol=self.method.target_protocol,
            settings=self.settings,
            folder=self.cache,
        )

        def cost(retention: Retention) -> float:
            return relative.of_shares(retention.shares, cls_alone=True)

        quick = quick_precision(model.device) == "bf16-mixed"

        def logits(of: Any) -> Tensor:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=quick):
                return predict_logits(of, data.dataset["dev"], data.collate, data.eval_batch_size, None)

        told = logits(self.teacher)

        def loss(retention: Retention) -> float:
            base.set_retention(retention.shares, retention.encoders)
            return float(soft_target_loss(logits(model), told, 1.0, data.task.has_binary_logits))

        starts = start_of(self.method, encoders, cost)
        points = evolve(starts, cost, loss, evaluations=self.method.evaluations, seed=0)
        base.set_retention([1.0] * encoders)
        model.cpu()
        fewest, most = self.method.depths(encoders)
        fronts = [
            pareto_front(point for point in points if len(point.retention.encoders) == own)
            for own in range(fewest, most + 1)
        ]
        found = [{**e.retention._asdict(), "cost": e.cost, "loss": e.loss} for e in chain(*fronts)]
        return {"fronts": found, "evaluated": len(points)}


def start_of(method: SubModels, encoders: int, cost: Any) -> list[Retention]:
    """Return the retentions that the search starts with.

    These are the largest and the smallest one, and for each depth and each of `SPEEDS` one that eliminates in
    all encoders alike, and one that eliminates in the first only, so that the others need not score.
    """
    from powerbert.measure.cost import reach

    fewest, most = method.depths(encoders)
    starts = [retention_of([1.0] * most), Sampler(fewest, most, method.steepest).smallest()]
    for own in range(most, fewest - 1, -1):
        kept = tuple(range(own))
        profiles = [[0.8**number for number in range(1, own)], [0.8] * (own - 1)]

        def relative(shares: Sequence[float], kept: tuple[int, ...] = kept) -> float:
            return cost(Retention(kept, (*shares, 0.0)))

        for speed, profile in product(SPEEDS, profiles):
            shares = reach(relative, profile, 1 / speed, 1.0)
            retention = Retention(kept, (*(round(share, 4) for share in shares), 0.0))
            if 0.9 * speed <= 1 / cost(retention) <= 1.1 * speed:
                starts.append(retention)
    return starts
