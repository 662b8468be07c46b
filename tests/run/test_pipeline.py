"""The three stages end to end on a tiny random model: reuse, resumption, repeatability, records."""

import json
import shutil
import time

import pytest

from powerbert.base.errors import ConfigError, ModelError
from powerbert.run.settings import resolve
from powerbert.store.records import read_records
from tests.forked import command
from tests.run.test_settings import composed
from tests.tiny_runs import artifacts, comparable, overrides, saved_metric, train


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """One undisturbed run."""
    runs = tmp_path_factory.mktemp("runs")
    return runs, train(corpus, runs)


def test_writes_one_complete_record(finished):
    runs, record = finished
    (stored,) = read_records(runs / "records")
    assert stored == json.loads(json.dumps(record))
    assert record["method"] == "power_bert"
    assert record["knob"] == {"lambda": 0.01}
    configuration = record["retention_configuration"]
    assert configuration == sorted(configuration, reverse=True)
    assert len(configuration) == 3
    assert configuration[-1] < 32, "lambda so large must eliminate something"
    assert record["word_vectors"] == {"retained": sum(configuration), "baseline": 96}
    assert record["flops"]["ratio"] > 1
    assert set(record["latency"]) == {"padded", "dynamic"}
    assert set(record["artifacts"]) == {"finetune", "search", "retrain"}
    assert record["metric"]["value"] > 0.8, "the task hangs on one word"
    assert str(runs) not in json.dumps(record["config"]), "a record can be committed"


def test_the_record_holds_the_metric_of_the_saved_model(finished, corpus):
    runs, record = finished
    assert saved_metric(record, runs, corpus) == pytest.approx(record["metric"]["value"])


def test_the_same_again_does_nothing(finished, corpus, caplog):
    runs, record = finished
    before = artifacts(runs)
    with caplog.at_level("INFO"):
        assert comparable(train(corpus, runs)) == comparable(record)
    assert artifacts(runs) == before
    assert caplog.text.count("reused") == 4
    assert len(read_records(runs / "records")) == 1


def test_another_lambda_searches_and_retrains_only(finished, corpus):
    runs, first = finished
    before = artifacts(runs)
    record = train(corpus, runs, "lambda=0.0001")
    assert record["knob"] == {"lambda": 0.0001}
    assert record["retention_configuration"] != first["retention_configuration"]
    new = {name.split("-")[2] for name in artifacts(runs).keys() - before.keys()}
    assert new == {"search", "retrain"}


def test_a_lambda_that_finds_the_same_configuration_shares_the_retrained_model(finished, corpus):
    runs, first = finished
    before = artifacts(runs)
    record = train(corpus, runs, "lambda=0.0101")
    assert record["retention_configuration"] == first["retention_configuration"]
    assert record["artifacts"]["retrain"] == first["artifacts"]["retrain"]
    assert {name.split("-")[2] for name in artifacts(runs).keys() - before.keys()} == {"search"}


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "learning_rate=2e-2",
        "batch_size=16",
        "weight_decay=0",
        "dataset.max_length=24",
        "trainer.max_epochs=1",
        "stages.finetune.max_epochs=2",
        "trainer.limit_train_batches=2",
        "+trainer.accumulate_grad_batches=2",
    ],
)
def test_what_influences_the_fine_tuning_gives_another_artifact(finished, corpus, change):
    runs, _ = finished
    before = artifacts(runs)
    train(corpus, runs, change.lstrip("+"), "stage=finetune")
    assert len(artifacts(runs)) == len(before) + 1


@pytest.mark.parametrize(
    "change", ["trainer.log_every_n_steps=1", "lambda=0.5", "retention_learning_rate=0.1"]
)
def test_what_does_not_influence_the_fine_tuning_reuses_it(finished, corpus, change):
    runs, _ = finished
    before = artifacts(runs)
    train(corpus, runs, change, "stage=finetune")
    assert artifacts(runs) == before


def test_a_changed_dataset_is_never_taken_for_the_old_one(finished, corpus, tmp_path):
    runs, _ = finished
    changed = tmp_path / "corpus"
    changed.mkdir()
    for split in ("train", "dev"):
        text = (corpus / f"{split}.tsv").read_text()
        (changed / f"{split}.tsv").write_text(text.replace("dull", "dull very"))
    before = artifacts(runs)
    train(changed, runs, "stage=finetune")
    assert len(artifacts(runs)) == len(before) + 1


def test_search_stops_after_the_search_and_retrain_goes_on(finished, corpus, tmp_path, caplog):
    _, record = finished
    with caplog.at_level("INFO"):
        assert train(corpus, tmp_path, "stage=search") is None
    assert f"retention configuration {tuple(record['retention_configuration'])}" in caplog.text
    before = artifacts(tmp_path)
    assert len(before) == 2
    assert comparable(train(corpus, tmp_path)) == comparable(record), "same seed, same record, bit for bit"
    assert before.items() <= artifacts(tmp_path).items()


def test_a_given_configuration_skips_the_search(finished, corpus):
    runs, _ = finished
    record = train(corpus, runs, "elimination.retention_configuration=[20,10,3]")
    assert record["retention_configuration"] == [20, 10, 3]
    assert set(record["artifacts"]) == {"finetune", "retrain"}
    assert record["knob"] == {}
    with pytest.raises(ConfigError, match="has no stage 'search'"):
        train(corpus, runs, "elimination.retention_configuration=[20,10,3]", "stage=search")


def test_released_preset_runs_and_starts_from_the_searched_weights(finished, corpus):
    runs, _ = finished
    record = train(corpus, runs, "elimination=released")
    manifest = json.loads((runs / "artifacts" / record["artifacts"]["retrain"] / "manifest.json").read_text())
    assert manifest["parents"] == [record["artifacts"]["search"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json"),
        ("{", "config.json cannot be read"),
        ("{}", "model type 'unknown' is not supported"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_refused_before_anything_is_trained(
    corpus, tmp_path, content, message
):
    folder = tmp_path / "model"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        train(corpus, tmp_path / "runs", f"model.path={folder}")
    assert not artifacts(tmp_path / "runs")


def test_bf16_mixed_runs(finished, corpus):
    runs, _ = finished
    record = train(corpus, runs, "trainer.precision=bf16-mixed", "trainer.max_epochs=1")
    assert record["config"]["trainer"]["precision"] == "bf16-mixed"


@pytest.mark.parametrize("stage", ["finetune", "search", "retrain"])
def test_a_run_killed_within_a_stage_goes_on_to_the_same_record(finished, corpus, tmp_path, stage):
    _, undisturbed = finished
    runs = tmp_path / "runs"
    killed = command(tmp_path / "printed", corpus, runs)
    deadline = time.monotonic() + 120
    while not list(runs.glob(f"artifacts/*-{stage}-*.partial/checkpoints/last.ckpt")):
        assert killed.process.is_alive(), killed.stderr
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.process.kill()
    killed.wait()
    assert comparable(train(corpus, runs)) == comparable(undisturbed)
    assert not list(runs.glob("artifacts/*.partial"))


def test_a_point_has_a_record_only_once_all_else_is_written(finished, corpus, tmp_path, monkeypatch):
    """A sweep that skips what has a record would never see to the rest."""
    runs = tmp_path / "runs"
    shutil.copytree(finished[0], runs)
    shutil.rmtree(runs / "records")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("powerbert.run.pipeline.write_model_card", killed)
        with pytest.raises(KeyboardInterrupt):
            train(corpus, runs)
    assert not list(runs.glob("records/*.json"))
    assert comparable(train(corpus, runs)) == comparable(finished[1])


def test_two_processes_train_each_stage_once(finished, corpus, tmp_path):
    _, undisturbed = finished
    runs = tmp_path / "runs"
    both = [command(tmp_path / str(number), corpus, runs) for number in range(2)]
    assert [one.wait() for one in both] == [0, 0], [one.stderr for one in both]
    for stage in ("finetune", "search", "retrain"):
        assert sum(f"{stage}: training" in one.stdout for one in both) == 1
    (record,) = read_records(runs / "records")
    assert comparable(record) == comparable(undisturbed)


def test_class_weights_are_part_of_every_identity_where_they_are_set(corpus, tmp_path):
    given = overrides(corpus, tmp_path)
    plain, weighted = (resolve(composed(tmp_path, *given, *more)) for more in ((), ("class_weights=[1,2]",)))
    for one, other in ((plain.identity, weighted.identity), (plain.inputs, weighted.inputs)):
        assert other == {**one, "class_weights": (1.0, 2.0)}
    assert "class_weights" not in {**plain.identity, **plain.config}
    assert weighted.config["class_weights"] == [1, 2]
