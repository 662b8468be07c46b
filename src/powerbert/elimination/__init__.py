"""The algorithm of the paper as tensor functions and two small modules; plain PyTorch.

Shapes: B inputs, H heads, N word-vectors of an input, K retained ones, D hidden size, L encoders, l longest
input. ``mask`` is True where a word is real and False where it is padding, [B, N]; None if every word is
real.
"""

from typing import TYPE_CHECKING

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.elimination.configuration import (
        derive_retention_configuration,
        derive_retention_shares,
        retained_by_encoder,
        retained_by_share,
        validate_retention_configuration,
        validate_retention_shares,
    )
    from powerbert.elimination.extract import cls_position, extract_mask, extract_rows
    from powerbert.elimination.names import SELECTIONS, SIGNIFICANCES
    from powerbert.elimination.selection import random_order
    from powerbert.elimination.significance import blockwise_significance, cls_significance
    from powerbert.elimination.soft_extract import mass_regularizer

__all__ = [
    "SELECTIONS",
    "SIGNIFICANCES",
    "blockwise_significance",
    "cls_position",
    "cls_significance",
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

lazy_package(__name__)
