"""Training stages as LightningModules: fine-tuning, configuration search, re-training."""

from powerbert.stages.elastic import Choice, SubModelTraining
from powerbert.stages.search import CostRegularizer, MassRegularizer, Regularizer, Search
from powerbert.stages.soft_thresholds import SoftThresholds
from powerbert.stages.stage import FineTune, Objective, Optimization, Retrain, Stage, weighted_loss

__all__ = [
    "Choice",
    "CostRegularizer",
    "FineTune",
    "MassRegularizer",
    "Objective",
    "Optimization",
    "Regularizer",
    "Retrain",
    "Search",
    "SoftThresholds",
    "Stage",
    "SubModelTraining",
    "weighted_loss",
]
