"""The time of one call, and the spread of several."""

import pytest
import torch

from powerbert.measure import clock


def test_milliseconds_are_those_of_the_call(monkeypatch):
    events, times = [], iter([1.0, 1.25])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: events.append("clock") or next(times))
    monkeypatch.setattr(clock, "synchronize", lambda device: events.append(device.type))
    taken = clock.milliseconds(lambda: events.append("call"), torch.device("meta"))
    assert taken == pytest.approx(250.0)
    assert events == ["meta", "clock", "call", "meta", "clock"]


def test_the_interquartile_range():
    assert clock.interquartile_range([4.0, 1.0, 2.0, 3.0, 5.0]) == 2.0
    assert clock.interquartile_range([7.0]) == clock.interquartile_range([]) == 0.0
