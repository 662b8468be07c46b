from functools import partial

import psutil
import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark import memory
from powerbert.benchmark.contestants import EAGER, HOST, POWER
from powerbert.benchmark.memory import (
    check_platform,
    forward_bytes,
    free_bytes,
    measure_memory,
    peak_bytes,
    peak_memory,
    reset_peak,
)
from powerbert.benchmark.pair import Retention, from_shape
from powerbert.models.backbone import BACKBONES
from powerbert.models.tiny import SIZES, tiny_config
from tests.benchmark.conftest import RETENTION, settings

CPU = torch.device("cpu")
OTHER = Retention("other", (4, 2, 1))

linux = pytest.mark.skipif(not memory.RESET.exists(), reason="not Linux")


@linux
def test_the_peak_is_of_what_was_taken_since_the_start():
    earlier = bytearray(128_000_000)
    del earlier
    before = reset_peak(CPU)
    taken = bytearray(64_000_000)
    assert peak_bytes(CPU) - before == pytest.approx(len(taken), rel=0.05)


@linux
def test_a_contestant_is_measured_in_a_process_of_its_own(inputs):
    """16 inputs of 512 words and 4 heads: each attention matrix of the eager host takes 67 MB."""
    make = partial(from_shape, "tiny", "bert", seed=3, **SIZES)
    (batch,) = inputs.batches("padded", 16, 512, 1)
    forward, total = peak_memory(make, EAGER, RETENTION, batch, CPU)
    assert 2 * 67e6 < forward < 5 * 67e6
    assert total > forward


def test_the_host_is_measured_once_and_power_bert_with_each_configuration(pair, inputs, monkeypatch):
    def peak(make_pair, contestant, retention, batch, device):
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
    monkeypatch.setattr(memory, "RESET", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"^memory: "):
        check_platform(CPU)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_estimate_adds_attention_matrices_and_grows_with_the_batch(backbone):
    config = tiny_config(backbone)
    fused, written = (forward_bytes(config, 4, 64, fused=fused) for fused in (True, False))
    assert written - fused == 3 * 4 * (4 * config.num_attention_heads * 64**2)
    assert forward_bytes(config, 8, 64, fused=True) == 2 * fused > 0


def test_free_memory_is_part_of_the_machine_s():
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total
