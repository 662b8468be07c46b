"""A tiny random BERT with its own tokenizer: a checkpoint for tests and dry runs that needs no download."""

from __future__ import annotations

import os
import string
import tempfile
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from powerbert.models.quiet import quiet_transformers

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
COMMON_WORDS = """
the and of to in is it this that was for with as but not on be are an by at no never more than very too
film movie story good great best well love funny bad worst boring dull
"""


def tiny(folder: str | os.PathLike[str], seed: int = 0) -> Path:
    """Write the tiny checkpoint to ``folder``, unless it is there already.

    The checkpoint is written to a temporary folder beside it and renamed when whole, so that several
    processes may ask for it at once. The same seed gives the same files.

    Args:
        folder: Where the checkpoint lives.
        seed: Seed of the random weights.

    Returns:
        The folder.
    """
    folder = Path(folder)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        whole = Path(scratch) / folder.name
        tokenizer = tiny_tokenizer()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = BertModel(tiny_config(vocab_size=len(tokenizer)))
        with quiet_transformers():
            model.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        try:
            whole.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process was first, with the same files
                raise
    return folder


def tiny_config(**overrides) -> BertConfig:
    """Configuration of the tiny BERT: 3 encoders, 4 heads, hidden size 32, 512 positions.

    The weights are drawn wider than BERT's own 0.02, without which attention over so few dimensions is
    uniform and every word-vector equally significant.

    Args:
        **overrides: Fields of ``BertConfig`` to set otherwise.
    """
    fields = {
        "vocab_size": 200,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    return BertConfig(**(fields | overrides))


def tiny_tokenizer() -> BertTokenizer:
    """WordPiece tokenizer over printable ASCII characters and a few common words; lower-cases."""
    characters = [c for c in string.printable if not c.isspace() and not c.isupper()]
    pieces = [*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters if c.isalnum())]
    vocabulary = dict.fromkeys([*pieces, *COMMON_WORDS.split()])
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, model_max_length=512)
