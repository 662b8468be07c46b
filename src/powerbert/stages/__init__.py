"""Training runs as LightningModules: fine-tuning, configuration search, re-training, distillation."""

from powerbert.stages.distill import Distill
from powerbert.stages.finetune import FineTune
from powerbert.stages.retrain import Retrain
from powerbert.stages.search import Search
from powerbert.stages.stage import Optimization, Stage

__all__ = ["Distill", "FineTune", "Optimization", "Retrain", "Search", "Stage"]
