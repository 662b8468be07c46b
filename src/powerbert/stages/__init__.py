"""Training runs as LightningModules: fine-tuning, configuration search, re-training."""

from powerbert.stages.finetune import FineTune
from powerbert.stages.retrain import Retrain
from powerbert.stages.search import Search
from powerbert.stages.stage import Optimization, Stage

__all__ = ["FineTune", "Optimization", "Retrain", "Search", "Stage"]
