"""What every request to the Hugging Face hub needs: patience with an end, and errors in one line."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

PATIENCE = 8.0
"""Seconds within which the hub must have answered; left to themselves, its clients retry for much longer."""

Answer = TypeVar("Answer")


def within(seconds: float, function: Callable[[], Answer]) -> Answer:
    """Calls a function that may hang, as looking up a host does without a network; then leaves it to itself.

    Args:
        seconds: to wait for it.
        function: is called in a thread of its own.

    Returns:
        What the function returns.

    Raises:
        TimeoutError: if it does not return in time. What the function raises goes through.
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
    """An error's message without the story that follows it.

    Args:
        error: of any of the HTTP libraries that the hub's clients use.

    Returns:
        The first line of the message, or the error's type if it has none.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
