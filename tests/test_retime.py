"""A study's models timed again, side by side."""

import shutil

import pytest
from hydra import compose, initialize_config_dir

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.retime import dataset_settings, retime
from powerbert.store.records import read_records, write_record
from tests.tiny_runs import comparable, train


@pytest.fixture(scope="module")
def runs(corpus, tmp_path_factory):
    """A study of three points on one fine-tuned model, one of which is compared under other settings."""
    folder = tmp_path_factory.mktemp("study")
    brief = ("trainer.max_epochs=1", "measure.runs=2")
    for point in (("lambda=0.02",), ("method=dense",), ("lambda=0.03", "measure.runs=1")):
        train(corpus, folder, *brief, *point)
    return folder


def again(runs, output, *overrides: str):
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        retime(compose("retime", overrides=[f"paths.runs={runs}", f"output={output}", *overrides]))
    return {record["identity"]: record for record in read_records(output)}


def changeless(record: dict) -> dict:
    return {key: value for key, value in comparable(record).items() if key not in ("flops", "retimed")}


def test_the_points_are_the_same_and_share_the_times_of_the_fine_tuned_model(runs, tmp_path):
    before = {record["identity"]: record for record in read_records(runs / "records")}
    after = again(runs, tmp_path)
    assert after.keys() == before.keys()
    for identity, record in after.items():
        assert changeless(record) == changeless(before[identity])
        assert record["flops"] == before[identity]["flops"]
        assert record["config"] == before[identity]["config"]
        assert record["latency"]["padded"]["model_ms"] != before[identity]["latency"]["padded"]["model_ms"]
    together = [record for record in after.values() if record["retimed"]["models"] == 3]
    assert len(together) == 2
    for protocol in ("padded", "dynamic"):
        assert len({record["latency"][protocol]["baseline_ms"] for record in together}) == 1
        assert len({record["latency"][protocol]["model_ms"] for record in together}) == 2
    (alone,) = (record for record in after.values() if record["retimed"]["models"] == 2)
    assert alone["latency"]["padded"]["runs"] == 1


def test_records_in_the_output_are_not_timed_again(runs, tmp_path):
    first = again(runs, tmp_path)
    next(tmp_path.glob("*.json")).unlink()
    second = again(runs, tmp_path)
    assert sum(first[identity] == second[identity] for identity in first) == 2


def test_as_many_models_at_once_as_fit(runs, tmp_path):
    assert {record["retimed"]["models"] for record in again(runs, tmp_path, "at_once=1").values()} == {2}


def test_without_artifacts_models_of_the_same_shape_are_timed(runs, tmp_path):
    shutil.copytree(runs / "records", tmp_path / "records")
    before = {record["identity"]: record for record in read_records(runs / "records")}
    after = again(tmp_path, tmp_path / "timed")
    assert after.keys() == before.keys()
    for identity, record in after.items():
        assert changeless(record) == changeless(before[identity])
        assert record["flops"] == before[identity]["flops"], "the shape is the same"
        assert record["latency"]["padded"]["model_ms"] != before[identity]["latency"]["padded"]["model_ms"]


@pytest.mark.parametrize("without", [{"shape"}, {"retention_thresholds": [0.1, 0.1, 0.1]}])
def test_a_point_that_needs_its_artifact_is_refused_before_any_is_timed(runs, tmp_path, without):
    for record in read_records(runs / "records"):
        lacking = {key: value for key, value in record.items() if key not in without}
        write_record(tmp_path / "records", lacking | (without if isinstance(without, dict) else {}))
    with pytest.raises(ModelError, match=r"the artifact is missing|paths\.artifacts="):
        again(tmp_path, tmp_path / "timed")
    assert not (tmp_path / "timed").exists()


def test_data_that_has_changed_is_refused(runs, corpus, tmp_path):
    kept = (corpus / "dev.tsv").read_text()
    try:
        (corpus / "dev.tsv").write_text(kept.replace("\n", " more\n", 2))
        with pytest.raises(DataError, match="its content has changed"):
            again(runs, tmp_path)
    finally:
        (corpus / "dev.tsv").write_text(kept)


@pytest.mark.parametrize("output", ["records", "records/again", "."])
def test_the_records_are_not_mixed_with_the_new_ones(runs, output):
    with pytest.raises(ConfigError, match=r"^output: "):
        again(runs, runs / output)


def test_another_batch_size_can_be_timed(runs, tmp_path):
    for record in again(runs, tmp_path, "+measure.dynamic_batch_size=1", "+measure.runs=1").values():
        assert record["latency"]["dynamic"]["batch_size"] == 1
        assert record["latency"]["dynamic"]["runs"] == 1
        assert record["latency"]["padded"]["batch_size"] > 1


@pytest.mark.parametrize("setting", ["batch=1", "runs=0"])
def test_an_invalid_setting_of_the_timing_is_refused_by_name(runs, tmp_path, setting):
    with pytest.raises(ConfigError, match=rf"^measure\.{setting.partition('=')[0]}: "):
        again(runs, tmp_path, f"+measure.{setting}")


@pytest.mark.parametrize("number", ["0", "true", "1.5"])
def test_an_invalid_number_of_models_is_refused(runs, tmp_path, number):
    with pytest.raises(ConfigError, match="at_once"):
        again(runs, tmp_path, f"at_once={number}")


def test_data_is_looked_for_where_it_lies_here(tmp_path, monkeypatch):
    monkeypatch.setenv("GLUE_DIR", "here")
    trained = {"_target_": "powerbert.data.glue.GlueSource", "task": "sst2", "folder": "there"}
    settings = dataset_settings({"name": "sst2", "max_length": 48, "source": trained}, tmp_path)
    assert settings["max_length"] == 48
    assert settings["source"]["folder"] == "here"
    assert settings["source"]["cache"] == str(tmp_path)
