import pandas as pd
import pytest

from powerbert.analyse.retention import run, run_of_artifact, runs_of_records
from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.store.records import write_record
from tests.report.test_table import RECORD


def write(folder, identity, **changes):
    more = {"artifacts": {}, "environment": {}, "config": {}, "identity": identity}
    write_record(folder, {**RECORD, **more, **changes})


def test_records_are_sorted_by_what_was_set(tmp_path):
    write(tmp_path, "a", knob={"lambda": 0.002})
    write(tmp_path, "b", knob={"lambda": 0.0005}, seed=2)
    write(tmp_path, "c", knob={"lambda": 0.0005}, seed=1)
    write(tmp_path, "d", dataset="cola", knob={})
    write(tmp_path, "e", method="distilbert", retention_configuration=None)
    assert [one.label for one in runs_of_records(tmp_path)] == [
        "cola, bert_base\nseed 42",
        "rte, bert_base\nλ = 0.0005, seed 1",
        "rte, bert_base\nλ = 0.0005, seed 2",
        "rte, bert_base\nλ = 0.002, seed 42",
    ]


def test_writes_table_and_figure_of_records(tmp_path):
    for number in range(4):  # more than a row of panels
        write(tmp_path / "records", str(number), seed=number)
    table = run(tmp_path / "out", records=str(tmp_path / "records"))
    assert len(table) == 4 * 12
    assert table["retained"][:12].tolist() == RECORD["retention_configuration"]
    assert table["max_length"].unique().tolist() == [256]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".svg", ".csv"}
    assert "<!-- \N{SCRIPT SMALL L} = 256 -->" in (tmp_path / "out" / "retention.svg").read_text(
        encoding="utf-8"
    )
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "retention.csv"), table, check_dtype=False)


def test_artifacts_side_by_side(retrained, make_artifact, tmp_path):
    other = make_artifact(retention_configuration=[4, 4, 2])
    table = run(tmp_path, artifacts=[str(retrained), str(other)])
    assert table["run"].tolist() == [1, 1, 1, 2, 2, 2]
    assert table["retained"].tolist() == [9, 5, 1, 4, 4, 2]
    assert table["setting"].unique().tolist() == ["λ = 0.01, seed 7"]
    assert run_of_artifact(retrained).max_length == 16
    assert run(tmp_path, artifacts=str(retrained))["encoder"].tolist() == [1, 2, 3]


def test_refuses_what_has_no_configuration(finetuned, tmp_path):
    with pytest.raises(ModelError, match="has no retention configuration"):
        run(tmp_path, artifacts=str(finetuned))
    write(tmp_path, "e", method="distilbert", retention_configuration=None)
    with pytest.raises(DataError, match="no record in this folder"):
        run(tmp_path, records=str(tmp_path))
    for given in ({}, {"artifacts": [], "records": "r"}):
        with pytest.raises(ConfigError, match=r"^artifact, records: give one of them"):
            run(tmp_path, **given)
