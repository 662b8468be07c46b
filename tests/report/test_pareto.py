import csv
import io
import json
import re

import pandas as pd
import pytest
from rich.console import Console

from powerbert.base.errors import ConfigError, DataError
from powerbert.report.__main__ import report
from powerbert.report.pareto import pareto
from tests.report.records import point, study
from tests.report.test_main import composed


def printed(records, output=None, *, width=100, **settings) -> str:
    console = Console(file=io.StringIO(), width=width)
    pareto(records, output, console=console, **settings)
    return console.file.getvalue()


def lines(text: str, start: str) -> list[list[str]]:
    """The cells of the lines that start so."""
    return [
        line.strip().removeprefix(start).split()
        for line in text.splitlines()
        if line.strip().startswith(f"{start} ")
    ]


def test_prints_a_line_for_each_point_and_for_each_method():
    text = printed(study(["rte"]))
    assert "rte, bert_base (NVIDIA H100; batches of 128 padded to 256, of 32 dynamic)" in text
    assert lines(text, "fine-tuned") == [["68.10", "±", "0.10", "2"]]
    row = ["67.80", "±", "0.10", "-0.30", "2.50x*", "1.58x*", "2.50x*", "2", "n/a", "1"]
    assert lines(text, "lambda=0.001")[0] == row
    assert lines(text, "encoders=3")[0][4:7] == ["2.00x", "1.41x", "2.00x"]
    assert lines(text, "no knob")[0][3:7] == ["+0.60", "1.00x*", "1.00x*", "1.00x*"]
    assert lines(text, "PoWER-BERT")[-1] == ["0.705", "0.465", "0.705", "2.50x", "1.58x", "2.50x"]
    assert lines(text, "More training")[-1] == ["0.000", "0.000", "0.000", "1.00x", "1.00x", "1.00x"]


def test_says_where_no_point_is_within_the_tolerance():
    text = printed([point(value=0.60, baseline=0.68)])
    assert lines(text, "PoWER-BERT")[-1][-3:] == ["none"] * 3
    assert lines(printed([point(value=0.60, baseline=0.68)], tolerance=8.5), "PoWER-BERT")[-1][-3] == "4.00x"


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut(width):
    link = {"artifact": "x", "stage": "retrain", "method": "distilbert", "knob": {"encoders": 3}, "epochs": 3}
    records = [*study(["rte"]), point(knob=0.0003, further={"chain": [link]})]
    text = printed(records, width=width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    assert {"(encoders=3)", "lambda=0.0003", "fine-tuned", "trials"} <= set(words)


def test_writes_every_point_with_its_dispersion(tmp_path):
    text = printed(study(), tmp_path / "out")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {f"pareto-{dataset}.{ending}" for dataset in ("rte", "sst2") for ending in ("png", "svg")}
    assert files == {"pareto.csv", "summary.csv", "pareto.html"} | figures
    assert all(f"{tmp_path / 'out' / name}\n" in text for name in files)
    points = pd.read_csv(tmp_path / "out" / "pareto.csv").set_index(["dataset", "method", "knob"])
    assert len(points) == 10
    row = points.loc[("sst2", "PoWER-BERT", "lambda=0.003")]
    assert row["metric"] == pytest.approx(0.663)
    assert row["metric_standard_error"] == pytest.approx(0.001)
    assert row["change"] == pytest.approx(0.663 - 0.681)
    assert (row["padded"], row["padded_speedup"], row["padded_model"]) == (50, 4, 50)
    assert (row["padded_baseline"], row["flops_baseline"]) == (200, 43.5e9)
    assert (row["padded_front"], row["seeds"], row["trials"], row["records"]) == (True, 2, 1, 2)
    assert (row["model"], row["metric_name"], row["split"]) == ("bert_base", "accuracy", "dev")
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").set_index(["dataset", "method"])
    assert len(summary) == 6
    best = summary.loc[("rte", "DistilBERT")]
    assert (best["points"], best["knob_padded"], best["speedup_padded"]) == (2, "encoders=4", 1.5)


def test_comparisons_of_one_data_set_do_not_overwrite_each_other(tmp_path):
    printed([point(), point(model="minilm_l6")], tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == {"pareto-rte-bert_base", "pareto-rte-minilm_l6"}
    printed([point(), point(device="cpu")], tmp_path)
    assert {path.stem for path in tmp_path.glob("*-[0-9].png")} == {
        "pareto-rte-bert_base-1",
        "pareto-rte-bert_base-2",
    }


def test_names_in_brackets_are_printed_as_they_are():
    text = printed([point("my[bold]set", method="new[red]")])
    assert "my[bold]set" in text
    assert "new[red]" in text


def test_the_notes_are_printed():
    assert "note: 1 record is left out" in printed([point(), point(knob=0.5, value=None)])


@pytest.mark.parametrize(("settings", "name"), [({"tolerance": -1}, "tolerance"), ({"margin": 0}, "margin")])
def test_settings_that_cannot_be_meant(settings, name):
    with pytest.raises(ConfigError, match=rf"^report\.{name}"):
        pareto([point()], **settings)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^output: .*file"):
        printed([point()], tmp_path / "file")


def test_no_records_write_nothing(tmp_path):
    with pytest.raises(DataError, match=r"^records: there are none"):
        pareto([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_below_runs_unless_told_otherwise(tmp_path, monkeypatch, capsys):
    (tmp_path / "records").mkdir()
    for number, record in enumerate(study(["rte"], seeds=[1])):
        (tmp_path / "records" / f"{number}.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    report(composed("report", "report=pareto", "records=records"))
    assert "runs/reports/pareto/pareto.html" in capsys.readouterr().out
    assert (tmp_path / "runs" / "reports" / "pareto" / "pareto.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"records", "runs"}


def test_the_command_takes_the_tolerance_and_may_write_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "record.json").write_text(json.dumps(point(value=0.65, baseline=0.68)))
    monkeypatch.chdir(tmp_path)
    report(composed("report", "report=pareto", "records=.", "output=null", "report.tolerance=3"))
    printed = capsys.readouterr().out
    assert "losing at most 3 points" in printed
    assert not re.search("none$", printed.replace("encoder: none", ""), re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_disturbed_timings_are_marked_in_table_and_csv(tmp_path):
    text = printed([point(disturbed=True), point(knob=0.5, disturbed=False)], tmp_path)
    assert "‡ other processes" in text
    assert "‡" not in printed([point()])
    assert "4.00x*‡" in lines(text, "lambda=0.001")[0]
    assert not any("‡" in cell for cell in lines(text, "lambda=0.5")[0])
    points = pd.read_csv(tmp_path / "pareto.csv").set_index("knob")
    assert points["padded_disturbed"].to_dict() == {"lambda=0.001": True, "lambda=0.5": False}
    assert points["dynamic_disturbed"].isna().all()


@pytest.mark.parametrize(
    ("alone", "words"),
    [((), "none"), (("power_bert", "dense"), "all methods"), (("dense",), "More training")],
)
def test_it_says_which_methods_have_cls_alone(alone, words):
    records = [
        point(method=method, value=value) | ({"cls_alone": True} if method in alone else {})
        for method, value in (("power_bert", 0.6), ("dense", 0.7))
    ]
    text = printed(records)
    assert f"[CLS] alone in the last encoder: {words}\n" in text
    assert ("More training, [CLS] alone" in text) == ("dense" in alone)


def test_runs_that_differ_in_cls_alone_are_different_points(tmp_path):
    pareto([point(), point() | {"cls_alone": True}], tmp_path, console=Console(file=io.StringIO()))
    with (tmp_path / "pareto.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["cls_alone"]) for row in rows] == [
        ("PoWER-BERT", "False"),
        ("PoWER-BERT, [CLS] alone", "True"),
    ]
    assert "[CLS] alone in the last encoder: PoWER-BERT" in (tmp_path / "pareto.html").read_text("utf-8")
