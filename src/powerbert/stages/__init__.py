"""Training stages as LightningModules: fine-tuning, configuration search, re-training, distillation."""

from powerbert.stages.distill import Distill
from powerbert.stages.search import Search
from powerbert.stages.stage import FineTune, Optimization, Retrain, Stage

__all__ = ["Distill", "FineTune", "Optimization", "Retrain", "Search", "Stage"]
