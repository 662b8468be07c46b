import json
import multiprocessing
import os

import pytest

from powerbert.base.errors import DataError
from powerbert.store.records import find_record, read_record, read_records, recorded, validate, write_record
from tests.records import RECORD, record


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = write_record(tmp_path / "records", RECORD)
    assert path.name == "rte-bert_base-power_bert-lambda=0.001-seed=42-0123456789ab.json"
    assert read_record(path) == RECORD
    assert read_records(tmp_path) == [RECORD]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no temporary file is left"


@pytest.mark.parametrize("field", ["note", "metric.f1", "latency.padded.runs"])
def test_further_fields_are_kept_and_the_configuration_may_be_null(tmp_path, field):
    further = record({field: 100}, retention_configuration=None)
    write_record(tmp_path, further)
    assert read_records(tmp_path) == [further]


def test_numbers_that_are_not_finite_become_null(tmp_path):
    path = write_record(tmp_path, record({"metric.value": float("nan")}))
    assert "NaN" not in path.read_text()
    assert read_record(path)["metric"]["value"] is None


@pytest.mark.parametrize(
    "field",
    [
        *(name for name in RECORD if name != "identity"),
        *("metric.name", "metric.value", "baseline.value", "word_vectors.retained"),
        *("flops.ratio", "latency.padded", "latency.dynamic.speedup"),
    ],
)
def test_a_missing_field_is_named(field):
    with pytest.raises(DataError, match=rf"^{field}: .*missing"):
        validate(record(without=field))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", 3),
        ("seed", "42"),
        ("seed", True),
        ("metric", 0.5),
        ("metric.value", "high"),
        ("metric.dev", "high"),
        ("retention_configuration", "all"),
        ("retention_configuration", [3, 2.5]),
        ("retention_shares", [0.5, "1"]),
        ("cls_alone", "yes"),
        ("target", 3.0),
        ("flops.dynamic", 3.0),
        ("word_vectors.retained", 1.5),
        ("latency.padded.model_ms", [1.0]),
        ("latency.padded.batch_size", "128"),
        ("config", None),
    ],
)
def test_an_ill_typed_field_is_named(field, value):
    with pytest.raises(DataError, match=rf"^{field}[.0-9]*: .*must"):
        validate(record({field: value}))


def test_a_record_that_is_invalid_or_has_no_identity_is_not_written(tmp_path):
    no_identity = record(without="identity")
    for invalid in (no_identity, record(identity=""), record(identity=3), record(without="flops")):
        with pytest.raises(DataError, match=r"^identity|^flops"):
            write_record(tmp_path, invalid)
    assert read_records(tmp_path) == []
    (tmp_path / "byhand.json").write_text(json.dumps(no_identity))
    assert read_records(tmp_path) == [no_identity]


def test_the_first_record_of_a_run_stands(tmp_path):
    first = write_record(tmp_path, RECORD)
    assert write_record(tmp_path, record({"metric.value": 0.99})) == first
    assert read_records(tmp_path) == [RECORD]


def write_at_once(barrier, folder, value):
    barrier.wait()
    write_record(folder, record({"metric.value": value}))


def test_processes_that_write_the_same_run_at_once_leave_one_whole_record(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    writers = [context.Process(target=write_at_once, args=(barrier, tmp_path, i / 10)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert len(read_records(tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("links", [True, False])
def test_a_file_system_without_hard_links_will_do_and_a_late_record_does_not_replace(
    tmp_path, monkeypatch, links
):
    def refuse_links(*_):
        raise PermissionError("Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    path = write_record(tmp_path, RECORD)
    # another process writes the record between the look-up and the publishing of the second
    monkeypatch.setattr("powerbert.store.records.find_record_file", lambda *_: None)
    write_record(tmp_path, record({"metric.value": 0.99}))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert read_record(path) == RECORD


def test_names_from_data_never_become_paths(tmp_path):
    folder = tmp_path / "records"
    hostile = record(dataset="../../escaped", model="a/b\\c", method="*[x]", knob={"k/": "../v"})
    path = write_record(folder, hostile)
    assert path.parent == folder
    assert not (tmp_path / "escaped").exists()
    assert find_record(folder, RECORD["identity"]) == hostile


def test_finds_a_run_by_its_identity_in_any_sub_folder(tmp_path):
    other, same_beginning = "fedcba9876543210", RECORD["identity"][:12] + "ffff"
    write_record(tmp_path / "a" / "b", RECORD)
    assert find_record(tmp_path, RECORD["identity"]) == RECORD
    assert find_record(tmp_path, other) is None
    assert find_record(tmp_path, same_beginning) is None
    assert find_record(tmp_path / "nowhere", RECORD["identity"]) is None
    is_recorded = recorded(tmp_path)
    assert is_recorded(RECORD["identity"])
    assert not is_recorded(other)
    write_record(tmp_path, record(identity=other))
    (tmp_path / "broken-other.json").write_text("{")
    assert find_record(tmp_path, other) == record(identity=other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"\xff\xfe", ""),
        (json.dumps(record(without="flops")).encode(), "flops"),
        (b'{"record_version": 2, "unheard": "of"}', "record_version: 2 .*newer powerbert"),
    ],
    ids=["empty", "half", "list", "not text", "field missing", "newer version"],
)
def test_a_corrupt_record_is_named(tmp_path, content, message):
    write_record(tmp_path, RECORD)
    (tmp_path / "zzz.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"zzz\.json.*{message}"):
        read_records(tmp_path)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_records(tmp_path / "nowhere")
