import threading

import pytest

from powerbert.base.network import first_line, within


def test_gives_the_answer():
    assert within(5, lambda: "answer") == "answer"


def test_a_failure_goes_through():
    def fail():
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        within(5, fail)


def test_does_not_wait_for_ever():
    released = threading.Event()
    with pytest.raises(TimeoutError, match=r"^no answer within 0\.05 seconds$"):
        within(0.05, released.wait)
    released.set()


@pytest.mark.parametrize(
    ("error", "line"),
    [(OSError("\n reset \nand a long story"), "reset "), (ValueError(), "ValueError")],
)
def test_first_line(error, line):
    assert first_line(error) == line
