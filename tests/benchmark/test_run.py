"""A whole benchmark of a tiny model, as the command line runs it."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from powerbert.base.errors import ConfigError
from powerbert.benchmark.memory import RESET, forward_bytes
from powerbert.benchmark.run import run
from powerbert.models.tiny import tiny_config
from tests.benchmark.conftest import composed

QUICK = ("runs=2", "warmup=0", "dynamic_batches=2", "device=cpu")


def benchmark(*overrides):
    text = StringIO()
    found = run(composed(*QUICK, *overrides), Console(file=text, width=100))
    return found, text.getvalue()


@pytest.fixture(scope="module")
def shape(tmp_path_factory) -> tuple[Path, str]:
    """A benchmark of a shape with forward passes and training steps: its files and what it prints."""
    output = tmp_path_factory.mktemp("benchmark") / "new"
    _, text = benchmark(
        "retention=[12,6,2]",
        "length=[16,24]",
        "batch_size=2",
        "runtimes=[eager,bf16]",
        "training=true",
        f"output={output}",
    )
    return output, text


def test_the_files_hold_settings_machine_and_every_result(shape):
    output, _ = shape
    figure = {f"inference.{suffix}" for suffix in ("csv", "png", "svg")}
    assert {path.name for path in output.iterdir()} == {"benchmark.json", "training.csv", *figure}
    found = json.loads((output / "benchmark.json").read_text())
    assert (found["benchmark_version"], found["model"]) == (1, "tiny")
    assert found["config"]["length"] == [16, 24]
    assert {"torch", "onnxruntime", "threads", "cpu", "device", "git_commit"} <= found["environment"].keys()
    assert found["retentions"] == [
        {"retention": "custom", "length": length, "configuration": [12, 6, 2]} for length in (16, 24)
    ]
    assert len(found["inference"]) == 2 * 2 * 5  # cells, protocols, contestants
    assert {"ms", "iqr_ms", "runs", "speedup", "flops_ratio", "efficiency"} <= found["inference"][0].keys()
    assert [(row["length"], row["batch_size"]) for row in found["training"]] == [(16, 2), (24, 2)]
    assert found["memory"] == found["skipped"] == []
    with (output / "inference.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 20
    assert lines[0]["contestant"] == "host, eager"
    assert float(lines[0]["ms"]) > 0


def test_tables_are_printed_whole(shape):
    _, text = shape
    assert "words drawn at random (seed 42)" in text
    assert "custom, length 24, batch 2" in text
    assert "PoWER-BERT, bfloat16" in text
    assert "Training steps" in text
    assert "…" not in text
    assert "Targets" not in text


def test_an_artifact_on_its_own_inputs(retrained):
    found, text = benchmark(f"artifact={retrained}", "runtimes=[sdpa]", "protocols=[padded]", "batch_size=2")
    assert "inputs of dev" in text
    assert {(row["retention"], row["length"]) for row in found["inference"]} == {("artifact", 16)}


def test_a_failure_in_training_keeps_the_other_results():
    """A class for each input is no target of a regression with three outputs."""
    found, text = benchmark(
        "retention=full",
        "length=8",
        "batch_size=2",
        "runtimes=[sdpa]",
        "protocols=[padded]",
        "training=true",
        "+shape.problem_type=regression",
        "+shape.num_labels=3",
    )
    assert found["training"] == []
    assert len(found["inference"]) == 2
    assert "left out at length 8, batch 2: training: " in text


@pytest.mark.skipif(not RESET.exists(), reason="not Linux")
def test_memory_is_measured_at_the_greatest_length_and_batch_size():
    found, text = benchmark(
        "retention=full", "batch_size=[1,16]", "runtimes=[sdpa]", "inference=false", "memory=true"
    )
    shapes = [(row["role"], row["length"], row["batch_size"]) for row in found["memory"]]
    assert shapes == [("host", 512, 16), ("power", 512, 16)]
    most = forward_bytes(tiny_config(), 16, 512, fused=False)
    for row in found["memory"]:
        assert most / 50 < row["forward_bytes"] < most
        assert row["total_bytes"] > row["forward_bytes"]
    assert "PoWER-BERT, full" in text


def test_a_contestant_that_is_left_out_is_printed(broken):
    broken("sdpa")
    found, text = benchmark("retention=full", "length=8", "batch_size=8", "runtimes=[sdpa]")
    assert found["inference"] == []
    assert "left out at full, length 8, batch 8: host, broken: RuntimeError: no such kernel" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retention=paper_rte", "retention: 'paper_rte' does not fit the model"),
        ("length=513", "length: 513 is beyond the 512 positions"),
        (f"output={__file__}", "output: cannot create the folder"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_measured(override, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        benchmark(override)


def test_with_cls_alone_the_result_says_so():
    found, text = benchmark(
        "retention=[12,6,2]", "length=16", "batch_size=2", "runtimes=sdpa", "cls_alone=true"
    )
    assert found["config"]["cls_alone"] is True
    assert "[CLS] alone in the last one, of every model" in text
