"""Hydra writes a log folder before it starts a run: whether it can."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from powerbert.base.errors import find_storage_error

ROOM = 2**16
"""Bytes, more than the files of Hydra's own take."""


class OutputFolder(Callback):
    """Ends the process with one message where the log folder cannot be written; Hydra prints a traceback."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Tries the folder of a single run."""
        _try(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Tries the folder of a sweep."""
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
