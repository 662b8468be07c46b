import importlib.util
import json
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "experiments"
_spec = importlib.util.spec_from_file_location("benchmark_targets", STUDIES / "inference" / "targets.py")
targets = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = targets  # dataclasses look their module up
_spec.loader.exec_module(targets)

SETTING = {"retention": "paper_rte", "length": 256, "batch_size": 8, "role": "power", "runtime": "sdpa"}
POWER = SETTING | {
    "protocol": "padded",
    "ms": 10,
    "speedup": 3.2,
    "speedup_lower": 3.1,
    "speedup_upper": 3.3,
    "flops_ratio": 3.3,
    "efficiency": 3.2 / 3.3,
}
STEP = {"length": 128, "batch_size": 8, "time_ratio": 1.1}
PEAK = SETTING | {"length": 512, "batch_size": 32, "ratio": 1.05}


def results(inference=(), training=(), memory=(), model="bert_base", device="cpu"):
    rows = {"inference": list(inference), "training": list(training), "memory": list(memory)}
    return {"model": model, "environment": {"device": device}, **rows}


@pytest.mark.parametrize(
    ("kind", "row", "holds"),
    [
        ("inference", POWER, True),
        ("inference", POWER | {"efficiency": 0.95}, True),
        ("inference", POWER | {"efficiency": 0.949}, False),
        ("inference", POWER | {"retention": "paper_cola", "length": 64}, True),
        ("inference", POWER | {"retention": "paper_figure1", "length": 128, "batch_size": 32}, True),
        ("inference", POWER | {"runtime": "onednn", "efficiency": 1.6}, True),
        ("inference", POWER | {"retention": "full", "length": 100, "speedup": 1 / 1.02}, True),
        ("inference", POWER | {"retention": "full", "length": 100, "speedup": 1 / 1.03}, False),
        ("training", STEP, True),
        ("training", STEP | {"time_ratio": 1.16}, False),
        ("memory", PEAK, True),
        ("memory", PEAK | {"ratio": 1.11}, False),
    ],
)
def test_a_target_holds_up_to_its_bound(kind, row, holds):
    (verdict,) = targets.judge(results(**{kind: [row]}))
    assert verdict.holds is holds


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("inference", POWER | {"batch_size": 1}),
        ("inference", POWER | {"length": 128}),
        ("inference", POWER | {"protocol": "dynamic"}),
        ("inference", POWER | {"runtime": "bf16"}),
        ("inference", POWER | {"role": "host"}),
        ("inference", POWER | {"retention": "custom"}),
        ("training", STEP | {"length": 256}),
        ("memory", PEAK | {"batch_size": 8}),
        ("memory", PEAK | {"role": "host"}),
    ],
)
def test_results_that_no_target_covers_are_not_judged(kind, row):
    assert targets.judge(results(**{kind: [row]})) == []


@pytest.mark.parametrize("other", [{"model": "minilm_l6"}, {"device": "cuda"}])
def test_targets_are_for_one_shape_and_the_cpu(other):
    assert targets.judge(results([POWER], **other)) == []


def test_verdicts_name_their_setting_and_bound():
    found = targets.judge(results([POWER, POWER | {"runtime": "onednn"}], [STEP]))
    assert [(one.setting, one.value, one.relation, one.bound) for one in found] == [
        ("paper_rte, length 256, batch 8", POWER["efficiency"], "at least", 0.95),
        ("paper_rte, length 256, batch 8, oneDNN", POWER["efficiency"], "at least", 0.95),
        ("length 128, batch 8", 1.1, "at most", 1.15),
    ]


def test_the_script_prints_a_line_for_each_verdict(tmp_path, capsys):
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps(results([POWER], [STEP], [PEAK])))
    targets.main(file)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith(": holds") for line in lines)


@pytest.mark.parametrize(
    "file", sorted(STUDIES.glob("*/*/benchmark*.json")), ids=lambda file: file.parent.name
)
def test_the_script_reads_every_benchmark_of_the_studies(file, capsys):
    targets.main(file)
    assert capsys.readouterr().out
