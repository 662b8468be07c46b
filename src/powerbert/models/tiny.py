"""Tiny random models with their own tokenizers: checkpoints for tests and dry runs that need no download."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModel

from powerbert.base.errors import ConfigError
from powerbert.models.quiet import quiet_transformers
from powerbert.models.tiny_tokenizer import MAX_LENGTH, tiny_tokenizer

SIZES = {
    "vocab_size": 200,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": MAX_LENGTH,
    "initializer_range": 0.1,
}
"""Fields of a tiny config. The weights are drawn wider than BERT's own 0.02, without which attention over so
few dimensions is uniform and every word-vector equally significant."""

DIFFERENCES: dict[str, dict[str, Any]] = {
    "bert": {},
    "albert": {"embedding_size": 16},
    "roberta": {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "distilbert": {"hidden_dim": SIZES["intermediate_size"]},
    "electra": {"embedding_size": 16},
}
"""What the hosts' configs have otherwise, by ``model_type``, as their published checkpoints do."""


def tiny(folder: str | os.PathLike[str], seed: int = 0, backbone: str = "bert") -> Path:
    """Write a tiny checkpoint to ``folder``, unless it is there already.

    The checkpoint is written to a temporary folder beside it and renamed when whole, so that several
    processes may ask for it at once. The same seed gives the same files.

    Args:
        folder: Where the checkpoint lives.
        seed: Seed of the random weights.
        backbone: The host's ``model_type``.

    Returns:
        The folder.

    Raises:
        ConfigError: If the backbone is unknown.
    """
    if backbone not in DIFFERENCES:
        raise ConfigError(f"model.backbone: '{backbone}' is unknown; choose one of {', '.join(DIFFERENCES)}")
    folder = Path(folder)
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
    """Config of a tiny host: 3 encoders, 4 heads, hidden size 32, inputs of up to 512 word pieces.

    Args:
        backbone: The host's ``model_type``.
        **overrides: Fields of the config to set otherwise.
    """
    return CONFIG_MAPPING[backbone](**(SIZES | DIFFERENCES[backbone] | overrides))
