import signal
import threading

import pytest

from powerbert.base.interrupt import Interrupted, interruptible


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_process_with_the_status_of_shells(number, status):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, interruptible():
        signal.raise_signal(number)
    assert isinstance(ended.value, Interrupted)
    assert ended.value.code == status
    assert str(ended.value).startswith(f"stopped by {signal.Signals(number).name}; ")
    assert signal.getsignal(number) == before


def closes_what_it_could_not_open():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        raise UnboundLocalError("a file that was never opened is closed")


def test_what_a_library_makes_of_a_signal_is_the_signal_still():
    with pytest.raises(Interrupted) as ended, interruptible(), interruptible():
        closes_what_it_could_not_open()
    assert ended.value.code == 143


def test_other_errors_pass():
    with pytest.raises(KeyError), interruptible():
        raise KeyError("key")


@pytest.mark.parametrize("there", ["__cause__", "__context__"])
@pytest.mark.parametrize("back", ["__cause__", "__context__"])
def test_an_error_whose_causes_form_a_circle_passes(there, back):
    first, second = ValueError("first"), KeyError("second")
    setattr(first, there, second)
    setattr(second, back, first)
    with pytest.raises(ValueError, match="first"), interruptible():
        raise first


def test_a_signal_that_someone_else_handles_is_theirs():
    heard = []
    previous = signal.signal(signal.SIGTERM, lambda *_: heard.append("it"))
    try:
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert heard == ["it"]


def test_blocks_may_be_nested_and_threads_change_nothing():
    def enter():
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    with interruptible():
        with interruptible():
            pass
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
