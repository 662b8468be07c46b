"""The algorithm of the paper as tensor functions and two small modules; plain PyTorch.

Shapes: B inputs, H heads, N word-vectors of an input, K retained ones, D hidden size, L encoders, l longest
input. ``mask`` is True where a word is real and False where it is padding, [B, N]; None if every word is
real.
"""

from powerbert.elimination.configuration import (
    derive_retention_configuration,
    derive_retention_shares,
    retained_by_encoder,
    retained_by_share,
    validate_retention_configuration,
    validate_retention_shares,
)
from powerbert.elimination.extract import cls_position, extract_mask, extract_rows
from powerbert.elimination.selection import SELECTIONS, random_order
from powerbert.elimination.significance import blockwise_significance
from powerbert.elimination.soft_extract import mass_regularizer

__all__ = [
    "SELECTIONS",
    "blockwise_significance",
    "cls_position",
    "derive_retention_configuration",
    "derive_retention_shares",
    "extract_mask",
    "extract_rows",
    "mass_regularizer",
    "random_order",
    "retained_by_encoder",
    "retained_by_share",
    "validate_retention_configuration",
    "validate_retention_shares",
]
