import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from powerbert.base.errors import UserError
from powerbert.report.summary import print_summary, progress_line, side_by_side
from tests.report.records import point

START = datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)


def printed(record, width=80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(record, console=console)
    return console.file.getvalue()


def line_with(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def progress(record, position=3, total=34):
    return progress_line(record, position, total, START, START + timedelta(seconds=252))


def test_summary_states_every_result():
    text = printed(point(seed=42, model_ms=1000.0, baseline_ms=3100.0))
    assert line_with(text, "PoWER-BERT on rte").split("(")[1].strip() == "bert_base, lambda=0.001, seed 42)"
    assert line_with(text, "accuracy").split()[-4:] == ["68.00", "67.00", "-1.00", "points"]
    assert line_with(text, "word-vectors").split()[-3:] == ["3072", "868", "3.54x"]
    assert line_with(text, "GFLOPs").split()[-3:] == ["43.5", "13.2", "3.30x"]
    assert line_with(text, "ms per batch of 128, padded").split()[-3:] == ["3100.0", "1000.0", "3.10x"]
    assert line_with(text, "ms per batch of 32, dynamic").split()[-3:] == ["18.0", "10.0", "1.80x"]
    assert "retention configuration: 153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5" in text
    assert not {"‡", "±"} & set(text)


def test_summary_fits_80_columns_and_has_no_control_codes_when_piped(capsys):
    print_summary(point() | {"retention_configuration": [97] * 24})
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("97") == 24


def test_summary_of_a_method_without_elimination():
    record = point(method="distilbert", knob={"encoders": 3}) | {"retention_configuration": None}
    text = printed(record)
    assert "DistilBERT" in text
    assert "retention configuration" not in text


def test_unknown_numbers_are_said_to_be_so():
    text = printed(point(metric="spearman", value=None, flops=None, model_ms=None))
    for start in ("Spearman", "GFLOPs", "ms per batch of 128"):
        assert line_with(text, start).count("n/a") == 2


def test_names_in_brackets_are_printed_as_they_are():
    text = printed(point("my[bold]set", method="new[red]"))
    assert "my[bold]set" in text
    assert text.count("new[red]") == 2


def test_times_have_their_spread_and_disturbed_ones_a_warning():
    record = point(model_ms=12439.7, baseline_ms=31439.7, disturbed=True)
    record["latency"]["padded"] |= {"model_iqr_ms": 1012.3, "baseline_iqr_ms": 30.5, "others": 0.34}
    record["latency"]["dynamic"] |= {"disturbed": False, "others": 0.01}
    text = printed(record)
    for part in ("31439.7 ± 30.5", "12439.7 ± 1012.3", "2.53x‡", "interquartile"):
        assert part in text
    (warning,) = [line for line in text.splitlines() if "warning" in line]
    assert "padded" in warning
    assert "34 %" in warning
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_point_of_a_sweep_is_one_line():
    text = progress(point() | {"created": (START + timedelta(seconds=251)).isoformat(timespec="seconds")})
    assert text == (
        "[ 3/34] rte seed 1 PoWER-BERT lambda=0.001: accuracy 67.00 (-1.00), FLOPs 3.30x, padded 4.00x, "
        "dynamic 1.80x; 0:04:12"
    )


@pytest.mark.parametrize(("second", "time"), [(4, "recorded"), (5, "0:04:12")], ids=["before", "same second"])
def test_a_record_from_before_says_so(second, time):
    assert progress(point() | {"created": f"2026-01-02T03:04:0{second}+00:00"}).endswith(f"; {time}")


def test_a_metric_that_is_not_defined_and_a_disturbed_timing_in_one_line():
    text = progress(point(value=None, disturbed=True))
    assert " n/a, FLOPs" in text
    assert "padded 4.00x (disturbed)" in text


def test_summary_states_shares_and_operations_under_dynamic_padding():
    record = point() | {"retention_configuration": None, "retention_shares": [0.82, 0.55, 0.0]}
    record |= {"cls_alone": True}
    record["flops"] |= {"dynamic": {"model": 5e9, "baseline": 20e9, "ratio": 4.0}}
    text = printed(record)
    assert line_with(text, "GFLOPs per input, dynamic").split()[-3:] == ["20.0", "5.00", "4.00x"]
    assert "retention shares: 0.82, 0.55, [CLS]\n" in text
    assert "[CLS] alone in the last encoder" in text
    assert "retention configuration" not in text


@pytest.mark.parametrize(
    ("dynamic", "disturbed", "cost", "warning"),
    [
        (2.95, None, "time", None),
        (3.1, None, "operations", None),
        (2.4, True, "operations", "20 % slower; time it again without other work: .*powerbert.retime"),
        (3.6, None, "operations", "20 % faster; .*elimination.cost=time"),
        (2.4, None, "time", "20 % slower; if other work ran meanwhile.*powerbert.retime"),
    ],
)
def test_summary_warns_of_a_missed_target(dynamic, disturbed, cost, warning):
    record = point(dynamic=dynamic)
    record["config"]["method"] = {"elimination": {"cost": cost}}
    record |= {"target": {"speedup": 3, "protocol": "dynamic", "predicted": 3.0}}
    record["latency"]["dynamic"]["disturbed"] = disturbed
    text = " ".join(printed(record, width=200).split())
    assert f"target_speedup: asked 3x (dynamic), measured {dynamic:.2f}x" in text
    assert bool(re.search(warning or "warning: .. %", text)) is (warning is not None)


def test_a_target_that_could_not_be_measured_is_no_reason_for_a_warning():
    record = point(dynamic=None) | {"target": {"speedup": 3, "protocol": "dynamic", "predicted": None}}
    text = printed(record)
    assert "measured n/a" in text
    assert "warning" not in text


def test_several_runs_of_a_fine_tuned_model_are_columns_of_one_table(capsys):
    other = point(method="distilbert", knob={"encoders": 3}, model_ms=2000.0, baseline_ms=3100.0)
    side_by_side([point(model_ms=1000.0, baseline_ms=3100.0), other], None)
    text = capsys.readouterr().out
    assert "Methods on rte" in text
    header = line_with(text, "fine-tuned").split()
    assert header == ["fine-tuned", "PoWER-BERT", "DistilBERT"]
    assert line_with(text, "ms per batch of 128, padded").split()[-5:] == [
        "3100.0",
        "1000.0",
        "(3.10x)",
        "2000.0",
        "(1.55x)",
    ]
    assert "PoWER-BERT: retention configuration" in text


def test_columns_of_one_method_are_told_apart_by_its_knob(capsys):
    side_by_side([point(knob=0.001), point(knob=0.01)], None)
    words = capsys.readouterr().out.split()
    header = words[: words.index("accuracy,")]
    assert header.count("PoWER-BERT") == 2
    assert {"lambda=0.001", "lambda=0.01"} < set(header)


@pytest.mark.parametrize(
    ("records", "message"),
    [([], "no records"), ([point(), point(seed=2)], "several fine-tuned models")],
)
def test_a_table_of_several_runs_says_what_it_cannot_show(records, message):
    with pytest.raises(UserError, match=message):
        side_by_side(records, None)


def test_the_table_of_several_runs_is_written_too(tmp_path):
    side_by_side([point(), point(knob=0.01)], tmp_path / "new")
    assert "Methods on rte" in (tmp_path / "new" / "side_by_side.txt").read_text()
