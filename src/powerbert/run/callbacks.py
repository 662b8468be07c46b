"""A Hydra callback that checks the log folder before Hydra writes it."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from powerbert.base.errors import find_storage_error

ROOM = 2**16
"""Bytes to try; Hydra's own files take less."""


class OutputFolder(Callback):
    """End the process with one message if the log folder is not writable; Hydra would print a traceback."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Try the folder of a single run."""
        _try(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Try the folder of a sweep."""
        _try(Path(config.hydra.sweep.dir))


def _try(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError as error:
        told = find_storage_error(error, str(folder))
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        sys.exit(1)
