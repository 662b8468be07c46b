"""End a process cleanly when it is asked to stop: by Ctrl-C, or by SIGTERM as Slurm sends it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from powerbert.base.errors import causes

STOPPING = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""The signals that ask a process to stop, with Python's default handlers."""


class Interrupted(SystemExit):
    """End the process with exit status 128 plus the signal's number, as shells expect."""

    def __init__(self, number: int):
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        return (
            f"stopped by {self.signal.name}; finished work is kept, and the same command resumes from the "
            "last checkpoint"
        )


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals of `STOPPING` raise `Interrupted`, and only that, out of the block.

    A signal may arrive while a library handles an error and turns it into another error. Signals with another
    handler are left alone; so are threads other than the main one, which receive no signals.
    """
    taken = {
        number: default
        for number, default in STOPPING.items()
        if in_main_thread() and signal.getsignal(number) == default
    }
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    except BaseException as error:
        interrupted = _find_interrupted(error)
        if interrupted is None or interrupted is error:
            raise
        raise interrupted from None
    finally:
        for number, default in taken.items():
            signal.signal(number, default)


def in_main_thread() -> bool:
    """Whether this is the thread that receives signals and may set their handlers."""
    return threading.current_thread() is threading.main_thread()


def _find_interrupted(error: BaseException | None) -> Interrupted | None:
    """What struck before an error, or while another was handled; None if nothing did."""
    return next((cause for cause in causes(error, contexts=True) if isinstance(cause, Interrupted)), None)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)
