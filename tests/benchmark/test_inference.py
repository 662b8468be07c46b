from dataclasses import dataclass

import pytest
import torch

from powerbert.benchmark import inference
from powerbert.benchmark.contestants import EAGER, HOST, POWER, Contestant
from powerbert.benchmark.footprint import forward_bytes
from powerbert.benchmark.inference import InferenceBenchmark
from powerbert.benchmark.runtimes import RUNTIMES, Runtime
from powerbert.benchmark.settings import Cell
from powerbert.measure import count_flops
from powerbert.measure.timing import Times
from tests.benchmark.conftest import RETENTION, settings

CELL = Cell(RETENTION, 24, 3)


@pytest.fixture
def measure(pair, inputs, tmp_path):
    def measure(*overrides):
        return InferenceBenchmark(pair, inputs, settings(*overrides), tmp_path).measure(CELL)

    return measure


@dataclass(frozen=True)
class Broken(Runtime):
    def build(self, make, place):
        raise RuntimeError("no such\n  kernel")


def test_each_contestant_has_a_row_for_each_protocol(measure):
    rows, skipped = measure("runtimes=[eager,sdpa]", "protocols=[padded,dynamic,full]")
    assert not skipped
    expected = [(name, one) for name in ("padded", "dynamic", "full") for one in (EAGER, HOST, POWER)]
    assert [(row.protocol, row.contestant) for row in rows] == expected
    assert {(row.retention, row.length, row.batch_size, row.runs) for row in rows} == {("some", 24, 3, 1)}


def test_ratios_are_to_the_host(measure, monkeypatch):
    """Eager takes 8 ms, sdpa 4, PoWER-BERT 1; packed the host 2, PoWER-BERT half of one."""
    packed = {Contestant("host", "onednn"): 2.0, Contestant("power", "onednn"): 0.5}
    times = {EAGER: 8.0, HOST: 4.0, POWER: 1.0} | packed

    def timed(rounds, device, schedule):
        return Times({one: [times[one]] * 3 for one in rounds[0]})

    monkeypatch.setattr(inference, "time_in_turn", timed)
    rows, _ = measure("runtimes=[eager,sdpa,onednn]", "protocols=[padded]")
    assert [(row.speedup, row.speedup_eager, row.speedup_same, row.time_ratio) for row in rows] == [
        (0.5, 1.0, 1.0, 2.0),
        (1.0, 2.0, 1.0, 1.0),
        (2.0, 4.0, 1.0, 0.5),
        (4.0, 8.0, 4.0, 0.25),
        (8.0, 16.0, 4.0, 0.125),
    ]
    assert rows[-1].efficiency == 8.0 / rows[-1].flops_ratio


def test_operations_are_those_of_the_padded_shapes(measure, pair, inputs):
    rows, _ = measure("protocols=[padded,dynamic]")
    by = {(row.protocol, row.role): row for row in rows}
    host, power = pair.host(), pair.power(RETENTION)
    assert by["padded", "host"].flops == 3 * count_flops(host, 24)
    assert by["padded", "power"].flops_ratio == count_flops(host, 24) / count_flops(power, 24)
    assert by["padded", "host"].flops_ratio == 1
    lengths = [batch["input_ids"].shape[1] for batch in inputs.batches("dynamic", 3, 24, 2)]
    assert by["dynamic", "power"].mean_length == sum(lengths) / 2
    assert by["dynamic", "power"].flops == 3 * sum(count_flops(power, n) for n in lengths) / 2


def test_without_eager_there_is_no_ratio_to_it(measure):
    rows, _ = measure("protocols=[padded]")
    assert {row.speedup_eager for row in rows} == {None}


def test_what_fails_is_left_out_with_its_reason(measure, monkeypatch):
    monkeypatch.setitem(RUNTIMES, "float16", Broken("float16", "broken"))
    rows, skipped = measure("runtimes=[float16]", "protocols=[padded]")
    assert [row.contestant for row in rows] == [HOST, POWER]
    assert {one.what for one in skipped} == {"host, broken", "PoWER-BERT, broken"}
    assert {one.reason for one in skipped} == {"RuntimeError: no such kernel"}


@pytest.mark.parametrize(("missing", "left"), [(0, [HOST, POWER]), (1, [HOST])])
def test_what_does_not_fit_into_memory_is_left_out(missing, left, measure, pair, monkeypatch):
    needed = forward_bytes(pair.config, 3, 24, fused=False) + pair.weight_bytes
    monkeypatch.setattr(inference, "free_bytes", lambda device: needed - missing)
    rows, skipped = measure("protocols=[padded]")
    assert [row.contestant for row in rows] == left
    assert all("are free" in one.reason for one in skipped)


def test_memory_is_that_of_the_largest_batch(measure, pair, inputs, monkeypatch):
    longest = inputs.batches("dynamic", 3, 24, 2)[-1]["input_ids"].shape[1]
    needed = forward_bytes(pair.config, 3, longest, fused=False) + pair.weight_bytes
    monkeypatch.setattr(inference, "free_bytes", lambda device: needed - 1)
    rows, _ = measure("protocols=[dynamic]")
    assert [row.contestant for row in rows] == [HOST]


def test_without_the_baseline_there_is_nothing_to_compare(measure, monkeypatch):
    monkeypatch.setattr(inference, "free_bytes", lambda device: 0)
    rows, skipped = measure("runtimes=[eager,sdpa]")
    assert not rows
    assert [one.what for one in skipped] == ["host, sdpa", "everything else"]


def test_runs_in_inference_mode(measure, monkeypatch):
    modes = []

    def timed(rounds, device, schedule):
        modes.append(torch.is_inference_mode_enabled())
        return Times({one: [1.0] for one in rounds[0]})

    monkeypatch.setattr(inference, "time_in_turn", timed)
    measure("protocols=[padded]")
    assert modes == [True]
