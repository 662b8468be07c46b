"""What happens to a process that is asked to stop: by Ctrl-C, or by SIGTERM as Slurm sends it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from powerbert.base.errors import causes

STOPPING = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""The signals that ask a process to stop, with what Python does about them by default."""


class Interrupted(SystemExit):
    """Ends the process as shells expect after a signal: with exit status 128 and the signal's number."""

    def __init__(self, number: int):
        """Takes the signal.

        Args:
            number: of the signal.
        """
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        return (
            f"stopped by {self.signal.name}; what is finished stays, and the same command goes on from the "
            "last checkpoint"
        )


@contextmanager
def interruptible() -> Iterator[None]:
    """Lets the signals of `STOPPING` raise `Interrupted` within the block, and nothing else come out of it.

    A signal may strike amid a library's own handling of errors, which makes another error of it.
    Signals that someone else handles or ignores are left alone, and so are threads but the main one, which
    receive none.
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
    """Whether this is the thread that receives signals, and may say what they do."""
    return threading.current_thread() is threading.main_thread()


def _find_interrupted(error: BaseException | None) -> Interrupted | None:
    """What struck before an error, or while another was handled; None if nothing did."""
    return next((cause for cause in causes(error, contexts=True) if isinstance(cause, Interrupted)), None)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)
