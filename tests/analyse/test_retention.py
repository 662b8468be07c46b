import pandas as pd
import pytest

from powerbert.analyse.retention import run
from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.store.records import write_record
from tests.records import RECORD, record


def write(folder, identity, **changes):
    write_record(folder, record(identity=identity, **changes))


def test_writes_table_and_figure_of_records_sorted_by_what_was_set(tmp_path):
    records = tmp_path / "records"
    write(records, "a", knob={"lambda": 0.002})
    write(records, "b", knob={"lambda": 0.0005}, seed=2)
    write(records, "c", knob={"lambda": 0.0005}, seed=1)
    write(records, "d", dataset="cola", knob={})  # more than a row of panels
    write(records, "e", method="distilbert", retention_configuration=None)
    table = run(tmp_path / "out", records=str(records))
    runs = table.drop_duplicates("run")
    assert runs["dataset"].tolist() == ["cola", "rte", "rte", "rte"]
    settings = ["seed 42", "λ = 0.0005, seed 1", "λ = 0.0005, seed 2", "λ = 0.002, seed 42"]
    assert runs["setting"].tolist() == settings
    assert table["retained"].tolist() == RECORD["retention_configuration"] * 4
    assert table["max_length"].unique().tolist() == [256]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".svg", ".csv"}
    svg = (tmp_path / "out" / "retention.svg").read_text(encoding="utf-8")
    assert "<!-- \N{SCRIPT SMALL L} = 256 -->" in svg
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "retention.csv"), table, check_dtype=False)


def test_artifacts_side_by_side(retrained, make_artifact, tmp_path):
    other = make_artifact(retention_configuration=[4, 4, 2])
    table = run(tmp_path, artifacts=[str(retrained), str(other)])
    assert table["run"].tolist() == [1, 1, 1, 2, 2, 2]
    assert table["retained"].tolist() == [9, 5, 1, 4, 4, 2]
    assert table["setting"].unique().tolist() == ["λ = 0.01, seed 7"]
    assert table["max_length"].unique().tolist() == [16]
    assert run(tmp_path, artifacts=str(retrained))["encoder"].tolist() == [1, 2, 3]


def test_refuses_what_has_no_configuration(finetuned, tmp_path):
    with pytest.raises(ModelError, match="has no retention configuration"):
        run(tmp_path, artifacts=str(finetuned))
    write(tmp_path, "e", method="distilbert", retention_configuration=None)
    with pytest.raises(DataError, match="no record in this folder"):
        run(tmp_path, records=str(tmp_path))
    for given in ({}, {"artifacts": []}, {"artifacts": [], "records": "r"}):
        with pytest.raises(ConfigError, match=r"^artifact, records: give one of them"):
            run(tmp_path, **given)


def test_shares_are_shown_as_what_the_longest_input_retains(make_artifact, tmp_path):
    shares = {"retention_shares": [0.82, 0.5, 0.0], "cls_alone": True}
    write(tmp_path / "records", "a", retention_configuration=None, **shares)
    write(tmp_path / "records", "b", knob={"lambda": 0.5})
    table = run(tmp_path / "out", records=str(tmp_path / "records"))
    own = table[table["share"].notna()]
    assert own["retained"].tolist() == [210, 128, 1]
    assert own["share"].tolist() == [0.82, 0.5, 0.0]
    assert len(table) == 6
    artifact = make_artifact(retention_shares=[0.5, 0.25, 0.25])
    assert run(tmp_path / "out", artifacts=str(artifact))["retained"].tolist() == [8, 4, 4]
