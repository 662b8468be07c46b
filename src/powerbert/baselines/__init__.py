"""What the methods that PoWER-BERT is compared with are made of, as pure tensor functions (section 3.2)."""

from powerbert.baselines.distillation import hidden_cosine_loss, patient_loss, soft_target_loss
from powerbert.baselines.heads import choose_heads, head_importance
from powerbert.baselines.layer_map import evenly_spread, skip_map

__all__ = [
    "choose_heads",
    "evenly_spread",
    "head_importance",
    "hidden_cosine_loss",
    "patient_loss",
    "skip_map",
    "soft_target_loss",
]
