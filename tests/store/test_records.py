import copy
import json
import multiprocessing
import os

import pytest

from powerbert.base.errors import DataError
from powerbert.store.records import find_record, read_record, read_records, validate, write_record

RECORD = {
    "record_version": 1,
    "identity": "0123456789abcdef",
    "method": "power_bert",
    "dataset": "rte",
    "model": "bert_base",
    "knob": {"lambda": 0.001},
    "seed": 42,
    "metric": {"name": "accuracy", "value": 0.67},
    "baseline": {"value": 0.68},
    "retention_configuration": [153, 125, 5],
    "max_length": 256,
    "word_vectors": {"retained": 283, "baseline": 768},
    "flops": {"model": 1.0, "baseline": 3.3, "ratio": 3.3},
    "latency": {
        "padded": {"batch_size": 128, "model_ms": 1.0, "baseline_ms": 3.1, "speedup": 3.1},
        "dynamic": {"batch_size": 32, "model_ms": 1.0, "baseline_ms": 1.8, "speedup": 1.8},
    },
    "artifacts": {"finetune": "a", "search": "b", "retrain": "c"},
    "environment": {"torch": "2.13.0"},
    "config": {"lambda": 0.001},
}


def changed(path: str, value=..., **top) -> dict:
    """A copy of the record with the field at a dotted path set, or removed."""
    record = {**copy.deepcopy(RECORD), **top}
    *folders, name = path.split(".")
    inner = record
    for folder in folders:
        inner = inner[folder]
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return record


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = write_record(tmp_path / "records", RECORD)
    assert path.name == "rte-bert_base-power_bert-lambda=0.001-seed=42-0123456789ab.json"
    assert read_record(path) == RECORD
    assert read_records(tmp_path) == [RECORD]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_further_fields_are_kept(tmp_path):
    write_record(tmp_path, changed("metric.split", "dev"))
    assert read_records(tmp_path)[0]["metric"]["split"] == "dev"


def test_numbers_that_are_not_finite_become_null(tmp_path):
    path = write_record(tmp_path, changed("metric.value", float("nan")))
    assert "NaN" not in path.read_text()
    assert read_record(path)["metric"]["value"] is None


@pytest.mark.parametrize(
    "field",
    [
        *(name for name in RECORD if name != "identity"),
        "metric.name",
        "metric.value",
        "baseline.value",
        "word_vectors.retained",
        "flops.ratio",
        "latency.padded",
        "latency.dynamic.speedup",
    ],
)
def test_a_missing_field_is_named(field):
    with pytest.raises(DataError, match=rf"^{field}: .*missing"):
        validate(changed(field))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", 3),
        ("seed", "42"),
        ("seed", True),
        ("metric", 0.5),
        ("metric.value", "high"),
        ("retention_configuration", "all"),
        ("retention_configuration", [3, 2.5]),
        ("word_vectors.retained", 1.5),
        ("latency.padded.model_ms", [1.0]),
        ("config", None),
    ],
)
def test_an_ill_typed_field_is_named(field, value):
    with pytest.raises(DataError, match=rf"^{field}[.0-9]*: .*must"):
        validate(changed(field, value))


def test_methods_without_elimination_have_no_configuration():
    validate(changed("retention_configuration", None))


def test_a_record_without_identity_is_read_but_not_written(tmp_path):
    (tmp_path / "byhand.json").write_text(json.dumps(changed("identity")))
    assert len(read_records(tmp_path)) == 1
    with pytest.raises(DataError, match=r"^identity"):
        write_record(tmp_path, changed("identity"))


def test_an_invalid_record_is_not_written(tmp_path):
    with pytest.raises(DataError, match=r"^flops"):
        write_record(tmp_path, changed("flops"))
    assert list(tmp_path.iterdir()) == []


def test_the_first_record_of_a_run_stands(tmp_path):
    first = write_record(tmp_path, RECORD)
    assert write_record(tmp_path, changed("metric.value", 0.99)) == first
    assert read_records(tmp_path) == [RECORD]


def test_runs_that_differ_in_identity_alone_have_a_file_each(tmp_path):
    write_record(tmp_path, RECORD)
    write_record(tmp_path, changed("identity", "fedcba9876543210"))
    assert len(read_records(tmp_path)) == 2


def write_at_once(barrier, folder, value):
    barrier.wait()
    write_record(folder, changed("metric.value", value))


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


def refuse_links(*_):
    raise PermissionError("Operation not permitted")


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_links)
    path = write_record(tmp_path, RECORD)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert read_record(path) == RECORD


@pytest.mark.parametrize("links", [True, False])
def test_a_record_that_appears_after_the_look_up_stands_too(tmp_path, monkeypatch, links):
    write_record(tmp_path, RECORD)
    monkeypatch.setattr("powerbert.store.records.find_record_file", lambda *_: None)
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    write_record(tmp_path, changed("metric.value", 0.99))
    assert read_records(tmp_path) == [RECORD]
    assert len(list(tmp_path.iterdir())) == 1


def test_names_from_data_never_become_paths(tmp_path):
    folder = tmp_path / "records"
    record = changed("dataset", "../../escaped", model="a/b\\c", method="*[x]", knob={"k/": "../v"})
    path = write_record(folder, record)
    assert path.parent == folder
    assert not (tmp_path / "escaped").exists()
    assert find_record(folder, RECORD["identity"]) == record


def test_finds_a_run_by_its_identity_in_any_sub_folder(tmp_path):
    write_record(tmp_path / "a" / "b", RECORD)
    (tmp_path / "broken-other.json").write_text("{")
    assert find_record(tmp_path, RECORD["identity"]) == RECORD
    assert find_record(tmp_path, "fedcba9876543210") is None
    same_beginning = RECORD["identity"][:12] + "ffff"
    assert find_record(tmp_path, same_beginning) is None
    assert find_record(tmp_path / "nowhere", RECORD["identity"]) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", json.dumps(changed("flops")).encode()])
def test_a_corrupt_record_is_named(tmp_path, content):
    write_record(tmp_path, RECORD)
    (tmp_path / "zzz.json").write_bytes(content)
    with pytest.raises(DataError, match=r"zzz\.json"):
        read_records(tmp_path)


def test_a_record_of_a_newer_version_says_so(tmp_path):
    (tmp_path / "new.json").write_text(json.dumps({"record_version": 2, "unheard": "of"}))
    with pytest.raises(DataError, match=r"new\.json.*newer powerbert"):
        read_records(tmp_path)


def test_records_that_are_nowhere(tmp_path):
    assert read_records(tmp_path) == []
    with pytest.raises(DataError, match="nowhere"):
        read_records(tmp_path / "nowhere")
