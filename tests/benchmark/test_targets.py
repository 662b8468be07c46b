import importlib.util
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from powerbert.benchmark.results import Inference, Memory, Training

SCRIPT = Path(__file__).parents[2] / "experiments" / "inference" / "targets.py"
_spec = importlib.util.spec_from_file_location("benchmark_targets", SCRIPT)
targets = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = targets  # dataclasses look their module up
_spec.loader.exec_module(targets)
TARGETS, judge = targets.TARGETS, targets.judge

POWER = Inference(
    retention="paper_rte",
    length=256,
    batch_size=8,
    protocol="padded",
    mean_length=256,
    role="power",
    runtime="sdpa",
    ms=10,
    iqr_ms=1,
    runs=10,
    speedup=3.2,
    speedup_lower=3.1,
    speedup_upper=3.3,
    speedup_eager=4.0,
    speedup_same=3.2,
    flops=1e9,
    flops_ratio=3.3,
    efficiency=3.2 / 3.3,
)
STEP = Training(
    length=128,
    batch_size=8,
    plain_ms=100,
    plain_iqr_ms=1,
    soft_ms=110,
    soft_iqr_ms=1,
    time_ratio=1.1,
    runs=10,
)
PEAK = Memory(
    retention="paper_rte",
    length=512,
    batch_size=32,
    role="power",
    runtime="sdpa",
    forward_bytes=105,
    total_bytes=500,
    ratio=1.05,
)


def judged(*rows, shape="bert_base", device="cpu"):
    return [(one.value, one.holds) for one in judge(rows, shape, device)]


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (POWER, True),
        (replace(POWER, efficiency=0.95), True),
        (replace(POWER, efficiency=0.949), False),
        (replace(POWER, retention="paper_cola", length=64), True),
        (replace(POWER, retention="paper_figure1", length=128, batch_size=32), True),
        (replace(POWER, runtime="onednn", efficiency=1.6), True),
        (replace(POWER, retention="full", length=100, speedup=1 / 1.02), True),
        (replace(POWER, retention="full", length=100, speedup=1 / 1.03), False),
        (STEP, True),
        (replace(STEP, time_ratio=1.16), False),
        (PEAK, True),
        (replace(PEAK, ratio=1.11), False),
    ],
)
def test_a_target_holds_up_to_its_bound(row, holds):
    ((_, found),) = judged(row)
    assert found is holds


@pytest.mark.parametrize(
    "row",
    [
        replace(POWER, batch_size=1),
        replace(POWER, length=128),
        replace(POWER, protocol="dynamic"),
        replace(POWER, runtime="bf16"),
        replace(POWER, role="host"),
        replace(POWER, retention="custom"),
        replace(STEP, length=256),
        replace(PEAK, batch_size=8),
        replace(PEAK, role="host"),
    ],
)
def test_what_no_target_is_about_is_not_judged(row):
    assert judged(row) == []


def test_targets_are_for_one_shape_and_the_cpu():
    assert judged(POWER, shape="minilm_l6") == []
    assert judged(POWER, device="cuda") == []


def test_verdicts_say_where_and_what():
    found = judge([POWER, replace(POWER, runtime="onednn"), STEP], "bert_base", "cpu")
    assert [one.setting for one in found] == [
        "paper_rte, length 256, batch 8",
        "paper_rte, length 256, batch 8, oneDNN",
        "length 128, batch 8",
    ]
    assert [(one.relation, one.bound) for one in found[1:]] == [("at least", 0.95), ("at most", 1.15)]
    assert found[0].value == POWER.efficiency


def test_every_kind_of_result_has_a_target():
    assert {target.rows for target in TARGETS} == {Inference, Training, Memory}


def test_the_script_reads_a_benchmark(tmp_path, capsys):
    file = tmp_path / "benchmark.json"
    found = {"model": "bert_base", "environment": {"device": "cpu"}}
    rows = {"inference": [asdict(POWER)], "training": [asdict(STEP)], "memory": [asdict(PEAK)]}
    file.write_text(json.dumps(found | rows))
    targets.main(file)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith(": holds") for line in lines)
