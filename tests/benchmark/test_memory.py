from functools import partial

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark import memory
from powerbert.benchmark.contestants import EAGER, HOST, POWER
from powerbert.benchmark.memory import check_platform, measure_memory
from powerbert.benchmark.pair import from_shape
from powerbert.benchmark.retention import Retention
from powerbert.models.tiny import SIZES
from tests.benchmark.conftest import RETENTION, settings

CPU = torch.device("cpu")
OTHER = Retention("other", (4, 2, 1))

linux = pytest.mark.skipif(not memory._RESET.exists(), reason="not Linux")


@linux
def test_the_peak_is_of_what_was_taken_since_the_start():
    earlier = bytearray(128_000_000)
    del earlier
    before = memory._start(CPU)
    taken = bytearray(64_000_000)
    assert memory._peak(CPU) - before == pytest.approx(len(taken), rel=0.05)


@linux
def test_a_contestant_is_measured_in_a_process_of_its_own(pair, inputs, tmp_path):
    """16 inputs of 512 words and 4 heads: each attention matrix of the eager host takes 67 MB."""
    make = partial(from_shape, "tiny", "bert", seed=3, **SIZES)
    (batch,) = inputs.batches("padded", 16, 512, 1)
    place = EAGER.place(RETENTION, batch, CPU, tmp_path)
    forward, total = memory.peak_memory(make, EAGER, RETENTION, batch, place)
    assert 2 * 67e6 < forward < 5 * 67e6
    assert total > forward


def test_the_host_is_measured_once_and_power_bert_with_each_configuration(pair, inputs, monkeypatch):
    def peak(make_pair, contestant, retention, batch, place):
        assert batch["input_ids"].shape == (2, 16)
        if contestant == EAGER:
            raise MemoryError("the process was ended")
        return (10, 100) if contestant == HOST else (11, 90) if retention == RETENTION else (12, 95)

    monkeypatch.setattr(memory, "peak_memory", peak)
    chosen = settings("runtimes=[eager,compile,onnx]")
    rows, skipped = measure_memory(lambda: pair, inputs, [RETENTION, OTHER], 16, 2, chosen)
    assert [
        (row.contestant, row.retention, row.forward_bytes, row.total_bytes, row.ratio) for row in rows
    ] == [
        (HOST, None, 10, 100, 1.0),
        (POWER, "some", 11, 90, 1.1),
        (POWER, "other", 12, 95, 1.2),
    ]
    (left_out,) = skipped
    assert (left_out.what, left_out.reason) == ("host, eager", "MemoryError: the process was ended")


def test_a_platform_that_does_not_tell_the_peak_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_RESET", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"^memory: "):
        check_platform(CPU)
