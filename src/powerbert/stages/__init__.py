"""Training stages as LightningModules: fine-tuning, configuration search, re-training, distillation."""

from powerbert.stages.stage import Distill, FineTune, Objective, Optimization, Retrain, Search, Stage

__all__ = ["Distill", "FineTune", "Objective", "Optimization", "Retrain", "Search", "Stage"]
