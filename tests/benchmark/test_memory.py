import psutil
import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark.contestants import EAGER, HOST, Contestant
from powerbert.benchmark.memory import (
    RESET,
    check_platform,
    forward_bytes,
    free_bytes,
    measure_memory,
    peak_bytes,
    reset_peak,
)
from powerbert.benchmark.pair import Retention
from powerbert.models.backbone import BACKBONES
from powerbert.models.tiny import tiny_config
from tests.benchmark.conftest import RETENTION

CPU = torch.device("cpu")
OTHER = Retention("other", (4, 2, 1))


@pytest.mark.skipif(not RESET.exists(), reason="not Linux")
def test_the_peak_is_of_what_was_taken_since_the_start():
    earlier = bytearray(128_000_000)
    del earlier
    before = reset_peak(CPU)
    taken = bytearray(64_000_000)
    assert peak_bytes(CPU) - before == pytest.approx(len(taken), rel=0.05)


def test_the_host_is_measured_once_and_power_bert_with_each_configuration():
    def peak(contestant, retention):
        if contestant == EAGER:
            raise MemoryError("the process was ended")
        return (10, 100) if contestant == HOST else (11, 90) if retention == RETENTION else (12, 95)

    rows, skipped = measure_memory(peak, [RETENTION, OTHER], ["eager", "compile", "onnx"], 16, 2)
    assert rows == [
        {"length": 16, "batch_size": 2, "runtime": "sdpa"} | row
        for row in (
            {"role": "host", "retention": None, "forward_bytes": 10, "total_bytes": 100, "ratio": 1.0},
            {"role": "power", "retention": "some", "forward_bytes": 11, "total_bytes": 90, "ratio": 1.1},
            {"role": "power", "retention": "other", "forward_bytes": 12, "total_bytes": 95, "ratio": 1.2},
        )
    ]
    reason = "MemoryError: the process was ended"
    assert skipped == [{"setting": "memory, length 16", "what": "host, eager", "reason": reason}]


def test_without_the_host_there_is_no_ratio():
    def peak(contestant, retention):
        if contestant == HOST:
            raise MemoryError
        return 10, 100

    (row,), _ = measure_memory(peak, [RETENTION], ["sdpa"], 16, 2)
    assert (Contestant(row["role"], row["runtime"]).label, row["ratio"]) == ("PoWER-BERT", None)


def test_a_device_that_does_not_report_the_peak_is_refused():
    with pytest.raises(ConfigError, match=r"^memory: "):
        check_platform(torch.device("meta"))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_estimate_adds_attention_matrices_and_grows_with_the_batch(backbone):
    config = tiny_config(backbone)
    fused, written = (forward_bytes(config, 4, 64, fused=fused) for fused in (True, False))
    assert written - fused == 3 * 4 * (4 * config.num_attention_heads * 64**2)
    assert forward_bytes(config, 8, 64, fused=True) == 2 * fused > 0


def test_free_memory_is_part_of_the_machine_s():
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total
