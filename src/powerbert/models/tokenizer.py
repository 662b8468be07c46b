"""Loading tokenizers from checkpoint folders."""

from __future__ import annotations

import os
from pathlib import Path

from transformers import AlbertTokenizer, AutoTokenizer
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from powerbert.base.errors import ModelError
from powerbert.models.quiet import quiet_transformers

VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")


def load_tokenizer(folder: str | os.PathLike[str]) -> TokenizersBackend:
    """Load a folder's tokenizer, without the truncation and padding that its ``tokenizer.json`` may carry.

    Args:
        folder: A checkpoint folder.

    Returns:
        The tokenizer; it truncates and pads only as each call asks.

    Raises:
        ModelError: If the folder has no tokenizer, or one that cannot be read.
    """
    if not any((Path(folder) / name).is_file() for name in VOCABULARY_FILES):
        # transformers would make a tokenizer of the special tokens alone.
        raise ModelError(
            f"model folder {folder} has no tokenizer: none of {', '.join(VOCABULARY_FILES)} is there"
        )
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing more specific
        raise ModelError(f"model folder {folder}: the tokenizer cannot be read ({error})") from error
    assert isinstance(tokenizer, TokenizersBackend)
    if isinstance(tokenizer, AlbertTokenizer):
        # ALBERT was pretrained with token types, but since transformers 5 its tokenizer leaves them out
        # (huggingface/transformers#48128). The second line makes the tokenizer's copies do the same.
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer
