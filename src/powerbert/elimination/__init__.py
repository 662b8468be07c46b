"""The algorithm of the paper as tensor functions and two small modules; plain PyTorch.

Shapes: B inputs, H heads, N word-vectors of an input, K retained ones, D hidden size, L encoders, l longest
input. ``mask`` is True where a word is real and False where it is padding, [B, N]; None if every word is
real.
"""

from powerbert.elimination.configuration import (
    derive_retention_configuration,
    validate_retention_configuration,
)
from powerbert.elimination.extract import extract_mask, extract_rows
from powerbert.elimination.ranking import (
    cls_position,
    order_by_significance,
    ordered_positions,
    retained_positions,
)
from powerbert.elimination.regularizer import mass_regularizer
from powerbert.elimination.selection import SELECTIONS, StaticSelection, random_order, validate_selection
from powerbert.elimination.significance import (
    attention_probabilities,
    blockwise_significance,
    significance_scores,
)
from powerbert.elimination.soft_extract import SoftExtract

__all__ = [
    "SELECTIONS",
    "SoftExtract",
    "StaticSelection",
    "attention_probabilities",
    "blockwise_significance",
    "cls_position",
    "derive_retention_configuration",
    "extract_mask",
    "extract_rows",
    "mass_regularizer",
    "order_by_significance",
    "ordered_positions",
    "random_order",
    "retained_positions",
    "significance_scores",
    "validate_retention_configuration",
    "validate_selection",
]
