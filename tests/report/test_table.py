import copy
import io

from rich.console import Console

from powerbert.report.table import print_summary

RECORD = {
    "record_version": 1,
    "method": "power_bert",
    "dataset": "rte",
    "model": "bert_base",
    "knob": {"lambda": 0.001},
    "seed": 42,
    "metric": {"name": "accuracy", "value": 0.67},
    "baseline": {"value": 0.685},
    "retention_configuration": [153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5],
    "max_length": 256,
    "word_vectors": {"retained": 868, "baseline": 3072},
    "flops": {"model": 13.2e9, "baseline": 43.5e9, "ratio": 3.3},
    "latency": {
        "padded": {"batch_size": 128, "model_ms": 1000.0, "baseline_ms": 3100.0, "speedup": 3.1},
        "dynamic": {"batch_size": 32, "model_ms": 200.0, "baseline_ms": 360.0, "speedup": 1.8},
    },
}


def record(**changes):
    return {**copy.deepcopy(RECORD), **changes}


def printed(summary, width=80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(summary, console)
    return console.file.getvalue()


def line_with(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_summary_states_every_result():
    text = printed(summary=RECORD)
    assert line_with(text, "PoWER-BERT on rte").split("(")[1].strip() == "bert_base, lambda=0.001, seed 42)"
    assert line_with(text, "accuracy").split()[-4:] == ["68.50", "67.00", "-1.50", "points"]
    assert line_with(text, "word-vectors").split()[-3:] == ["3072", "868", "3.54x"]
    assert line_with(text, "GFLOPs").split()[-3:] == ["43.5", "13.2", "3.30x"]
    assert line_with(text, "ms per batch of 128, padded to 256").split()[-3:] == ["3100.0", "1000.0", "3.10x"]
    assert line_with(text, "ms per batch of 32, dynamic").split()[-3:] == ["360.0", "200.0", "1.80x"]
    assert "retention configuration: 153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5" in text


def test_summary_fits_80_columns_and_has_no_control_codes_when_piped(capsys):
    print_summary(record(retention_configuration=[97] * 24))
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("97") == 24


def test_summary_of_a_method_without_elimination():
    text = printed(
        summary=record(method="distilbert", knob={"num_encoders": 3}, retention_configuration=None)
    )
    assert "DistilBERT" in text
    assert "retention configuration" not in text


def test_unknown_numbers_are_said_to_be_so():
    unknown = record(
        metric={"name": "spearman", "value": None}, flops={"model": None, "baseline": 1, "ratio": None}
    )
    text = printed(summary=unknown)
    assert "n/a" in line_with(text, "Spearman")
    assert "n/a" in line_with(text, "GFLOPs")


def test_names_in_brackets_are_printed_as_they_are():
    strange = record(dataset="my[bold]set", method="new[red]")
    assert "my[bold]set" in printed(summary=strange)
    assert printed(summary=strange).count("new[red]") == 2


def test_times_have_their_spread_and_disturbed_ones_a_warning():
    disturbed = record()
    disturbed["latency"]["padded"] |= {
        "model_ms": 12439.7,
        "baseline_ms": 31439.7,
        "model_iqr_ms": 1012.3,
        "baseline_iqr_ms": 30.5,
        "disturbed": True,
        "others": 0.34,
    }
    disturbed["latency"]["dynamic"] |= {"disturbed": False, "others": 0.01}
    text = printed(disturbed)
    assert "31439.7 ± 30.5" in text
    assert "12439.7 ± 1012.3" in text
    assert "3.10x‡" in text
    (warning,) = [line for line in text.splitlines() if "warning" in line]
    assert "padded" in warning
    assert "34 %" in warning
    assert "interquartile" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert not {"‡", "±"} & set(printed(RECORD))
