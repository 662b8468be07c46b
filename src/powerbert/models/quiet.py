"""Keeping transformers quiet."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import logging


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within the block, keep transformers from reporting on loading and saving; no progress bars either."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
