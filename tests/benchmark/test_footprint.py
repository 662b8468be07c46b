import pytest
import torch

from powerbert.benchmark import footprint
from powerbert.benchmark.footprint import forward_bytes, free_bytes
from powerbert.models.backbone import BACKBONES
from powerbert.models.tiny import tiny_config


@pytest.mark.parametrize("backbone", BACKBONES)
def test_attention_matrices_come_on_top(backbone):
    config = tiny_config(backbone)
    fused, written = (forward_bytes(config, 4, 64, fused=fused) for fused in (True, False))
    assert written - fused == 3 * 4 * (4 * config.num_attention_heads * 64**2)
    assert forward_bytes(config, 8, 64, fused=True) == 2 * fused > 0


def test_free_memory_is_what_the_system_says(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9 kB\nMemFree:  1 kB\nMemAvailable:   5 kB\n")
    monkeypatch.setattr(footprint, "Path", lambda path: meminfo)
    assert free_bytes(torch.device("cpu")) == 5 * 1024


def test_elsewhere_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(footprint, "Path", lambda path: tmp_path / "none")
    assert free_bytes(torch.device("cpu")) is None
