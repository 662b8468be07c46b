"""Weights come as safetensors only: a pickled file can run code when it is read."""

from collections.abc import Iterable
from fnmatch import fnmatch

PICKLED_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
"""What repositories call the pickled weights; most hold the same as safetensors."""

HOW_TO_CONVERT = (
    "only safetensors are read, since a pickled file can run code. Convert it, in the folder where it is: "
    'python -c "import glob, torch; from safetensors.torch import save_file; '
    "save_file({k: v.contiguous().clone() for f in glob.glob('pytorch_model*.bin') "
    "for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}, "
    "'model.safetensors', {'format': 'pt'})\""
)
"""For error messages. The command runs none of the file's code; all shards become one file."""


def only_pickled(files: Iterable[str]) -> bool:
    """Whether a checkpoint has its weights as pickled files and not as safetensors.

    Args:
        files: their names.
    """
    names = list(files)
    pickled = any(fnmatch(name, pattern) for name in names for pattern in PICKLED_WEIGHTS)
    return pickled and not any(name.endswith(".safetensors") for name in names)
