"""Requests to the Hugging Face hub: a time limit, and errors in one line."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

PATIENCE = 8.0
"""Seconds within which the hub must answer; its clients retry for much longer."""

Answer = TypeVar("Answer")


def within(seconds: float, function: Callable[[], Answer]) -> Answer:
    """Call a function that may hang, such as the lookup of a host without a network, and return its answer.

    The function runs in a separate thread, which is left alone when its time is over.

    Raises:
        TimeoutError: if the function does not return in time; what the function raises passes through.
    """
    answer: Future[Answer] = Future()

    def call() -> None:
        try:
            answer.set_result(function())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    if not wait([answer], seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return answer.result()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the error's type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
