"""Tokenizers of the tiny checkpoints, of each backbone's kind: ASCII characters and a few common words."""

from __future__ import annotations

import string
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import AlbertTokenizer, BertTokenizer, RobertaTokenizer
from transformers.tokenization_utils_tokenizers import TokenizersBackend

CHARACTERS = [c for c in string.printable if not c.isspace() and not c.isupper()]
COMMON_WORDS = """
the and of to in is it this that was for with as but not on be are an by at no never more than very too
film movie story good great best well love funny bad worst boring dull
"""
MAX_LENGTH = 512


def tiny_tokenizer(backbone: str = "bert") -> TokenizersBackend:
    """A tokenizer of the kind that checkpoints of a backbone come with.

    Args:
        backbone: The host's ``model_type``. RoBERTa tells lower case from upper, the others do not.
    """
    return OTHERS.get(backbone, word_piece)()


def word_piece() -> BertTokenizer:
    """BERT's WordPiece, which DistilBERT and ELECTRA use too."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *CHARACTERS, *(f"##{c}" for c in CHARACTERS if c.isalnum()), *COMMON_WORDS.split()]
    return BertTokenizer(vocab=_numbered(pieces), model_max_length=MAX_LENGTH)


def unigram() -> AlbertTokenizer:
    """ALBERT's Unigram model; words are much likelier than their characters one by one."""
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    scores = dict.fromkeys(special, 0.0) | dict.fromkeys(["▁", *CHARACTERS], -9.0)
    scores |= {f"▁{word}": -1.0 for word in COMMON_WORDS.split()}
    return AlbertTokenizer(vocab=list(scores.items()), model_max_length=MAX_LENGTH)


def byte_pair() -> RobertaTokenizer:
    """RoBERTa's byte-level BPE; the merges build each word from its beginning."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    prefixes = dict.fromkeys(prefix for word in COMMON_WORDS.split() for prefix in accumulate(f"Ġ{word}"))
    merged = [prefix for prefix in prefixes if len(prefix) > 1]
    merges: Any = [(prefix[:-1], prefix[-1]) for prefix in merged]
    return RobertaTokenizer(
        vocab=_numbered([*special, *sorted(ByteLevel.alphabet()), *merged]),
        merges=merges,
        model_max_length=MAX_LENGTH,
    )


OTHERS: dict[str, Callable[[], TokenizersBackend]] = {"albert": unigram, "roberta": byte_pair}


def _numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
