"""Forward passes: who is timed, on what, and the numbers of a row."""

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark.contestants import EAGER, HOST, POWER, RUNTIMES, Contestant, Runtime
from powerbert.benchmark.memory import forward_bytes
from powerbert.benchmark.settings import Cell
from powerbert.benchmark.timings import check_fits, inference_row, time_inference
from powerbert.measure import count_flops
from powerbert.measure.timing import Times
from tests.benchmark.conftest import RETENTION, settings

CELL = Cell(RETENTION, 24, 3)


@pytest.fixture
def measure(pair, inputs, tmp_path):
    return lambda *overrides: time_inference(pair, inputs, CELL, settings(*overrides), tmp_path)


def who(row):
    return Contestant(row["role"], row["runtime"])


def test_each_contestant_has_a_row_for_each_protocol(measure, pair, inputs):
    rows, skipped = measure("runtimes=[eager,sdpa]", "protocols=[padded,dynamic,full]")
    assert not skipped
    by = {(row["protocol"], who(row)): row for row in rows}
    assert list(by) == [(name, one) for name in ("padded", "dynamic", "full") for one in (EAGER, HOST, POWER)]
    settings = {(row["retention"], row["length"], row["batch_size"], row["runs"]) for row in rows}
    assert settings == {("some", 24, 3, 1)}

    host, power = pair.host(), pair.power(RETENTION)
    assert by["padded", HOST]["flops"] == 3 * count_flops(host, 24)
    assert by["padded", POWER]["flops_ratio"] == count_flops(host, 24) / count_flops(power, 24)
    lengths = [batch["input_ids"].shape[1] for batch in inputs.batches("dynamic", 3, 24, 2)]
    assert by["dynamic", POWER]["mean_length"] == sum(lengths) / 2
    assert by["dynamic", POWER]["flops"] == 3 * sum(count_flops(power, n) for n in lengths) / 2


def test_ratios_are_to_the_host():
    """Eager takes 8 ms, sdpa 4, PoWER-BERT 1; packed the host 2, PoWER-BERT half of one."""
    packed = Contestant("host", "onednn"), Contestant("power", "onednn")
    times = {EAGER: 8.0, HOST: 4.0, packed[0]: 2.0, POWER: 1.0, packed[1]: 0.5}
    timed = Times({one: [ms] * 3 for one, ms in times.items()})
    flops = {"host": 30.0, "power": 10.0}
    rows = [inference_row(CELL, "padded", 24.0, one, timed, flops) for one in times]
    assert [(row["speedup"], row["speedup_eager"], row["speedup_same"]) for row in rows] == [
        (0.5, 1.0, 1.0),
        (1.0, 2.0, 1.0),
        (2.0, 4.0, 1.0),
        (4.0, 8.0, 4.0),
        (8.0, 16.0, 4.0),
    ]
    assert [row["flops_ratio"] for row in rows] == [1.0, 1.0, 1.0, 3.0, 3.0]
    assert rows[-1]["efficiency"] == 8.0 / 3.0


def test_a_failing_runtime_is_left_out_with_its_reason(measure, broken):
    broken("float16")
    rows, skipped = measure("runtimes=[float16]", "protocols=[padded]")
    assert [who(row) for row in rows] == [HOST, POWER]
    assert {row["speedup_eager"] for row in rows} == {None}
    assert skipped == [
        {"setting": "some, length 24, batch 3", "what": what, "reason": "RuntimeError: no such kernel"}
        for what in ("host, broken", "PoWER-BERT, broken")
    ]


def test_without_the_baseline_there_is_nothing_to_compare(measure, broken):
    broken("sdpa")
    rows, skipped = measure("runtimes=[eager,sdpa]")
    assert not rows
    assert [one["what"] for one in skipped] == ["host, broken", "everything else"]


@pytest.mark.parametrize(("contestant", "fused"), [(HOST, True), (EAGER, False), (POWER, False)])
def test_a_pass_must_fit_into_memory(contestant, fused, pair, inputs):
    (batch,) = inputs.batches("padded", 3, 24, 1)
    needed = forward_bytes(pair.config, 3, 24, fused=fused) + pair.weight_bytes
    check_fits(pair, contestant, batch, needed)
    with pytest.raises(ConfigError, match="are free"):
        check_fits(pair, contestant, batch, needed - 1)


def test_models_are_built_for_the_largest_batch_and_run_in_inference_mode(measure, inputs, monkeypatch):
    seen = []

    class Watched(Runtime):
        def build(self, model, batch, folder):
            seen.append(batch["input_ids"].shape[1])
            return lambda **batch: seen.append(torch.is_inference_mode_enabled()) or model(**batch)

    monkeypatch.setitem(RUNTIMES, "sdpa", Watched("sdpa", "#000000"))
    measure("protocols=[dynamic]")
    longest = inputs.batches("dynamic", 3, 24, 2)[-1]["input_ids"].shape[1]
    assert [entry for entry in seen if entry is not True] == [longest, longest]
