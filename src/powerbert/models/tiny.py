"""Tiny random models with tokenizers: checkpoints for tests and dry runs that need no download."""

import os
import string
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CONFIG_MAPPING,
    TOKENIZER_MAPPING,
    AlbertTokenizer,
    AutoModel,
    BertTokenizer,
    CamembertTokenizer,
    DebertaV2Tokenizer,
    MPNetTokenizer,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from powerbert.base.checks import check_choice
from powerbert.models.backbone import BACKBONES, find_backbone
from powerbert.models.loading import quiet_transformers

MAX_LENGTH = 512
SIZES = {
    "vocab_size": 200,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": MAX_LENGTH,
    "initializer_range": 0.1,
}
"""Fields of a tiny config. The weights are drawn wider than with BERT's 0.02, at which attention over so few
dimensions is uniform and every word-vector equally significant."""

CHARACTERS = [c for c in string.printable if not c.isspace() and not c.isupper()]
COMMON_WORDS = """
the and of to in is it this that was for with as but not on be are an by at no never more than very too
film movie story good great best well love funny bad worst boring dull
"""


def tiny(folder: str | os.PathLike[str], seed: int = 0, backbone: str = "bert") -> Path:
    """Write a tiny checkpoint to ``folder``, unless it exists, and return the folder.

    It appears complete or not at all, so several processes may call this at once. The same seed gives the
    same files. An unknown backbone, the host's ``model_type``, raises ConfigError.
    """
    folder = Path(folder)
    find_backbone(backbone)  # an installed package may register it
    check_choice("model.backbone", backbone, BACKBONES)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        whole = Path(scratch) / folder.name
        tokenizer = tiny_tokenizer(backbone)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModel.from_config(tiny_config(backbone, vocab_size=len(tokenizer)))
        with quiet_transformers():
            model.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        try:
            whole.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process was first, with the same files
                raise
    return folder


def tiny_config(backbone: str = "bert", **overrides: Any) -> Any:
    """Make the config of a tiny host: 3 encoders, 4 heads, hidden size 32, up to 512 word pieces."""
    found = find_backbone(backbone)
    assert found is not None, backbone
    return CONFIG_MAPPING[backbone](**{**SIZES, **found.tiny, **overrides})


def tiny_tokenizer(backbone: str = "bert") -> TokenizersBackend:
    """Make a tokenizer of the host's own kind: ASCII characters and a few common words.

    Unigram models (ALBERT, XLM-RoBERTa, CamemBERT, DeBERTa), RoBERTa's byte-level BPE, and WordPiece for all
    others.
    """
    kind: Any = TOKENIZER_MAPPING[CONFIG_MAPPING[backbone]]
    bert, roberta = (
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    common = COMMON_WORDS.split()
    more: dict[str, Any] = {"model_max_length": MAX_LENGTH}
    if issubclass(kind, AlbertTokenizer | CamembertTokenizer | DebertaV2Tokenizer | XLMRobertaTokenizer):
        lower = issubclass(kind, AlbertTokenizer)
        albert = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
        special = albert if lower else bert if issubclass(kind, DebertaV2Tokenizer) else roberta
        pieces = ["▁", *CHARACTERS, *([] if lower else string.ascii_uppercase)]
        scores = dict.fromkeys(special, 0.0) | dict.fromkeys(pieces, -9.0)
        scores |= {f"▁{word}": -1.0 for word in common}  # much likelier than their characters
        if issubclass(kind, CamembertTokenizer):
            more["additional_special_tokens"] = []
        return kind(vocab=list(scores.items()), **more)
    if issubclass(kind, RobertaTokenizer):
        # The merges build each word from its beginning.
        prefixes = dict.fromkeys(prefix for word in common for prefix in accumulate(f"Ġ{word}"))
        merged = [prefix for prefix in prefixes if len(prefix) > 1]
        merges: Any = [(prefix[:-1], prefix[-1]) for prefix in merged]
        return kind(
            vocab=_numbered([*roberta, *sorted(ByteLevel.alphabet()), *merged]), merges=merges, **more
        )
    pieces = [*CHARACTERS, *(f"##{c}" for c in CHARACTERS if c.isalnum()), *common]
    if issubclass(kind, MPNetTokenizer):
        return kind(vocab=_numbered(["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *pieces]), **more)
    return BertTokenizer(vocab=_numbered([*bert, *pieces]), **more)


def _numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
