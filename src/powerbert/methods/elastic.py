"""Train once, choose the speed later: one model for many shares and numbers of encoders.

After Length-Adaptive Transformer (Kim and Cho 2021), whose sub-models learn from the full one within a step;
here they learn from the fine-tuned model, and the search weighs measured time instead of operations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from powerbert.base.checks import check_choice, check_number, check_whole
from powerbert.base.environment import default_device
from powerbert.base.errors import ConfigError
from powerbert.measure import LatencySettings
from powerbert.measure.cost import KINDS, cost_model
from powerbert.measure.evaluation import predict_logits, task_metrics
from powerbert.methods.distillation import Distillation, evenly_spread, soft_target_loss
from powerbert.methods.evolution import Retention, evolve
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan
from powerbert.models import as_power_model, load_model, num_encoders
from powerbert.stages import Elastic as ElasticStage
from powerbert.stages import Stage
from powerbert.stages.search import reach


@dataclass
class Elastic(Method):
    """Train sub-models of all depths and lengths together, then find the best one for each speed; swept.

    The settings are those of `conf/method`; ConfigError names one that is out of range.
    """

    name: str
    speed: float
    speeds: Sequence[float]
    fewest_encoders: int
    steepest: float
    each_step: int
    evaluations: int
    cost: str
    alpha: float
    temperature: float
    beta: float
    epochs: int | None = None

    def __post_init__(self) -> None:
        Distillation(self.alpha, self.temperature, beta=self.beta)
        self.speeds = sorted(float(speed) for speed in self.speeds)
        for speed in self.speeds:
            check_number("method.speeds", speed, low=1.0)
        if self.speed not in self.speeds:
            raise ConfigError(f"method.speed: {self.speed} is not one of method.speeds {self.speeds}")
        check_choice("method.cost", self.cost, KINDS)
        check_number("method.steepest", self.steepest, high=1.0, strict=True)
        for name in ("fewest_encoders", "each_step", "evaluations"):
            check_whole(f"method.{name}", getattr(self, name))

    @property
    def knob(self) -> Mapping[str, float]:
        """The speed, which does not change the training."""
        return {"speed": self.speed}

    @property
    def measured_speed(self) -> float:
        """The chosen speed."""
        return self.speed

    def check(self, model_config: Any) -> None:
        """Raise ConfigError if the model has fewer encoders than the smallest sub-model."""
        check_whole("method.fewest_encoders", self.fewest_encoders, high=num_encoders(model_config))

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune the teacher, then train all sub-models from its weights."""
        names = ("speeds", "fewest_encoders", "steepest", "each_step", "evaluations", "cost")
        influence = {name: getattr(self, name) for name in (*names, "alpha", "temperature", "beta")}
        final = final_plan(self.epochs, {"method": self.name, **influence}, self._build)
        return [finetune_plan(checkpoint), final]

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
        return entry_for(artifact.manifest["results"]["speeds"], self.speed)["metrics"]

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        teacher = load_model(artifacts["finetune"].path)
        encoders = num_encoders(teacher.config)
        model = as_power_model(load_model(artifacts["finetune"].path), cls_alone=True)
        sampler = Sampler(encoders, self.fewest_encoders, self.steepest, self.each_step)
        return ElasticStage(
            model,
            context.task,
            context.optimization,
            context.seed,
            teacher=teacher,
            sample=sampler,
            objective_of=ObjectiveOf(Distillation(self.alpha, self.temperature, beta=self.beta)),
            choose=Chooser(self, context.measure, context.cache, teacher),
        )


def entry_for(speeds: Sequence[Mapping[str, Any]], speed: float) -> Mapping[str, Any]:
    """Return the slowest of a model's speeds that is at least as fast as asked."""
    for entry in speeds:
        if entry["speed"] >= speed:
            return entry
    raise ConfigError(
        f"method.speed: {speed:g} is beyond what this model reaches; its speeds are "
        f"{', '.join(format(entry['speed'], 'g') for entry in speeds)}"
    )


@dataclass(frozen=True)
class ObjectiveOf:
    """Makes the objective of a sub-model, each of whose encoders imitates itself in the teacher."""

    objective: Distillation

    def __call__(self, retention: Retention) -> Distillation:
        """Return the objective of one sub-model."""
        imitated = [(own, encoder + 1) for own, encoder in enumerate(retention.encoders[:-1], start=1)]
        return replace(self.objective, imitated=imitated)


@dataclass(frozen=True)
class Sampler:
    """Draws the sub-models of a step: the smallest, and random ones.

    The number of encoders is uniform. Each encoder retains all it is given with probability 1/4; else it
    drops a part that is uniform from 0 to `steepest`. The last one retains [CLS] alone.
    """

    encoders: int
    fewest: int
    steepest: float
    number: int

    def __call__(self) -> list[Retention]:
        """Return one step's sub-models."""
        return [self.smallest(), *(self.random() for _ in range(self.number - 1))]

    def smallest(self) -> Retention:
        """Return the sub-model with the fewest encoders and shares."""
        return self._retention([1 - self.steepest] * self.fewest)

    def random(self) -> Retention:
        """Return a random sub-model."""
        own = self.fewest + int(torch.randint(self.encoders - self.fewest + 1, ()))
        dropped = torch.rand(own) * self.steepest * (torch.rand(own) < 0.75)
        return self._retention((1 - dropped).tolist())

    def _retention(self, kept: Sequence[float]) -> Retention:
        shares = [round(share, 4) for share in accumulate(kept[:-1], lambda a, b: a * b)]
        return Retention(tuple(evenly_spread(self.encoders, len(kept))), (*shares, 0.0))


@dataclass(frozen=True)
class Chooser:
    """Finds the best sub-model for each speed on dev, by measured time of this device."""

    method: Elastic
    settings: LatencySettings
    cache: Path
    teacher: Any

    def __call__(self, model: Any, data: Any) -> dict[str, Any]:
        """Set the model's `speeds`; return them with the metrics of each."""
        base = model.to(default_device()).eval().base_model
        self.teacher.to(model.device)
        encoders = num_encoders(model.config)
        base.set_retention([1.0] * encoders)
        relative = cost_model(
            model,
            self.teacher,
            data,
            kind=self.method.cost,
            protocol="dynamic",
            settings=self.settings,
            folder=self.cache,
        )

        def cost(retention: Retention) -> float:
            return relative.of_shares(retention.shares, cls_alone=True)

        def logits(retention: Retention, split: str) -> Tensor:
            base.set_retention(retention.shares, retention.encoders)
            return predict_logits(model, data.dataset[split], data.collate, data.eval_batch_size, None)

        told = predict_logits(self.teacher, data.dataset["dev"], data.collate, data.eval_batch_size, None)

        def loss(retention: Retention) -> float:
            return float(soft_target_loss(logits(retention, "dev"), told, 1.0))

        front = evolve(
            start_of(self.method, encoders, cost),
            cost,
            loss,
            evaluations=self.method.evaluations,
            seed=0,
        )
        speeds = []
        splits = dict.fromkeys(("dev", data.task.evaluation_split))
        for speed in self.method.speeds:
            fast = [point for point in front if 1 / point.cost >= 0.99 * speed]
            if not fast:
                break
            best = min(fast, key=lambda point: point.loss)
            metrics = {
                split: task_metrics(
                    logits(best.retention, split), torch.as_tensor(data.dataset[split]["label"][:]), data.task
                )
                for split in splits
            }
            chosen = {name: list(value) for name, value in best.retention._asdict().items()}
            speeds.append({"speed": speed, "predicted": 1 / best.cost, **chosen, "metrics": metrics})
        if not speeds:
            raise ConfigError(f"method.speeds: no sub-model reaches {self.method.speeds[0]:g}")
        model.config.speeds = [{key: e[key] for key in ("speed", "encoders", "shares")} for e in speeds]
        base.set_speed(speeds[0]["speed"])
        model.cpu()
        return {"speeds": speeds, "evaluated": self.method.evaluations}


def start_of(method: Elastic, encoders: int, cost: Any) -> list[Retention]:
    """Return the retentions that the search starts with.

    These are the whole and the smallest one, and for each depth a geometric one at each speed.
    """
    smallest = Sampler(encoders, method.fewest_encoders, method.steepest, 1).smallest()
    whole = Retention(tuple(range(encoders)), (*(1.0 for _ in range(encoders - 1)), 0.0))
    starts = [whole, smallest]
    for own in range(encoders, method.fewest_encoders - 1, -1):
        kept = tuple(evenly_spread(encoders, own))
        profile = [0.8**number for number in range(1, own)]

        def relative(shares: Sequence[float], kept: tuple[int, ...] = kept) -> float:
            return cost(Retention(kept, (*shares, 0.0)))

        for speed in method.speeds:
            shares = reach(relative, profile, 1 / speed, 1.0)
            retention = Retention(kept, (*(round(share, 4) for share in shares), 0.0))
            if 0.9 * speed <= 1 / cost(retention) <= 1.1 * speed:
                starts.append(retention)
    return starts
