"""What holds for every method: one matrix over the yamls of `conf/method`, on a tiny model."""

import json
import shutil
import time

import pytest
import torch

from powerbert.base.errors import ConfigError, find_user_error
from powerbert.models import load_model, num_encoders
from powerbert.store.records import read_records, validate
from tests.forked import command
from tests.run.test_settings import files
from tests.tiny_runs import artifacts, comparable, saved_metric, train

METHODS = files("method")
KNOBS = {
    "bert_pkd": ("encoders", 2),
    "combined": ("target_speedup", 1.5),
    "dense": None,
    "distilbert": ("encoders", 2),
    "elastic": ("speed", 1),
    "head_prune": ("pruned", 0.4),
    "ltp": ("regularization", 0.1),
    "power_bert": ("lambda", 0.01),
    "unchanged": None,
}
"""The knob of each method; one that is missing here fails the matrix."""


def settings(method: str) -> list[str]:
    """The overrides of a point on a tiny training of two epochs a stage."""
    chosen = [f"method={method}", "trainer.max_epochs=2", "batch_size=16"]
    if KNOBS[method] is not None:
        name, value = KNOBS[method]
        own = name in ("encoders", "pruned", "regularization", "speed")
        chosen.append(f"{'method.' if own else ''}{name}={value}")
    if method in ("combined", "elastic"):
        chosen += ["method.cost=operations", "method.fewest_encoders=2", "method.evaluations=8"]
        chosen.append(f"method.epochs={2 if method == 'combined' else 4}")  # measured times differ
    if method == "elastic":
        chosen.append("method.speeds=[1]")
    return chosen


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module", params=METHODS)
def point(request, corpus, runs):
    """An undisturbed run of each method."""
    return request.param, train(corpus, runs, *settings(request.param))


def test_the_record_is_complete_and_comparable(point, corpus, runs):
    method, record = point
    validate(json.loads(json.dumps(record)))
    assert record["method"] == method
    assert record["knob"] == ({} if KNOBS[method] is None else dict([KNOBS[method]]))
    assert record["trials"] == 1
    assert record["flops"]["ratio"] >= 1
    assert record["baseline"]["artifact"] == record["artifacts"]["finetune"]
    assert [training["artifact"] for training in record["chain"]] == list(record["artifacts"].values())
    assert {training["method"] for training in record["chain"]} == {method}
    assert record["epochs"]["finetune"] == 2
    # as many as in PoWER-BERT's three stages
    assert sum(record["epochs"].values()) == (2 if method == "unchanged" else 6)
    assert record["baseline"] == train(corpus, runs, *settings("dense"))["baseline"]


def test_the_artifact_loads_and_reproduces_the_metric(point, corpus, runs):
    _, record = point
    assert saved_metric(record, runs, corpus) == pytest.approx(record["metric"]["value"])


def test_the_same_command_again_trains_nothing(point, corpus, runs):
    method, record = point
    before = artifacts(runs)
    assert comparable(train(corpus, runs, *settings(method))) == comparable(record)
    assert artifacts(runs) == before


def test_killed_in_its_last_stage_it_resumes_to_the_same_record(point, corpus, tmp_path):
    method, undisturbed = point
    if method == "unchanged":
        pytest.skip("its last stage trains nothing that could be interrupted")
    runs = tmp_path / "runs"
    killed = command(tmp_path / "printed", corpus, runs, *settings(method))
    deadline = time.monotonic() + 120
    last = "search" if method == "elastic" else "retrain"  # that trains
    while not list(runs.glob(f"artifacts/*-{last}-*.partial/checkpoints/last.ckpt")):
        assert killed.process.is_alive(), killed.stderr
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.process.kill()
    killed.wait()
    assert comparable(train(corpus, runs, *settings(method))) == comparable(undisturbed)


def test_a_point_with_a_record_is_skipped_even_without_artifacts(point, corpus, runs, tmp_path):
    method, record = point
    more = (f"records={runs / 'records'}", *settings(method))
    assert comparable(train(corpus, tmp_path, "skip_recorded=true", *more)) == comparable(record)
    assert not artifacts(tmp_path)
    assert comparable(train(corpus, tmp_path, "stage=finetune", *more) or record) == comparable(record)
    assert len(artifacts(tmp_path)) == 1, "without skip_recorded the models are made"


def test_a_stage_the_method_does_not_have_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"'distilbert' has no stage 'search'.*finetune, retrain"):
        train(corpus, tmp_path, "method=distilbert", "method.encoders=2", "stage=search")


def test_students_have_the_encoders_they_were_asked_for(corpus, runs):
    for method in ("distilbert", "bert_pkd"):
        record = train(corpus, runs, *settings(method))
        model = load_model(runs / "artifacts" / record["artifacts"]["retrain"])
        assert num_encoders(model.config) == 2
        assert record["word_vectors"] == {"retained": 64, "baseline": 96}
        assert record["flops"]["ratio"] == pytest.approx(1.5, rel=0.01)


def test_heads_are_gone(corpus, runs):
    record = train(corpus, runs, *settings("head_prune"))
    folder = runs / "artifacts" / record["artifacts"]["retrain"]
    left = json.loads((folder / "manifest.json").read_text())["results"]["heads"]
    model = load_model(folder)
    assert model.config.encoder_heads == [len(heads) for heads in left]
    assert sum(model.config.encoder_heads) == 7  # five of twelve removed
    assert record["parameters"]["model"] < record["parameters"]["baseline"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("method=distilbert", "method.encoders=3"), r"method.encoders: 3 must be .* from 1 to 2"),
        (("method=bert_pkd", "method.encoders=0"), r"method.encoders: 0 must be .* from 1 to 2"),
        (("method=bert_pkd", "method.encoders=1.5"), r"method.encoders: 1.5 must be a whole number"),
        (("method=bert_pkd", "method.alpha=1.1"), r"method.alpha: 1.1 .* at least 0 and at most 1"),
        (("method=distilbert", "method.temperature=0"), r"method.temperature: 0 .* greater than 0"),
        (("method=head_prune", "method.pruned=1"), r"method.pruned: 1 .* greater than 0 and less than 1"),
        (("method=ltp", "method.regularization=-1"), r"method.regularization: -1.0 .* at least 0"),
        (("method=ltp", "method.temperature=0"), r"method.temperature: 0 .* greater than 0"),
        (("method=head_prune", "method.inputs=0"), r"method.inputs: 0 must be a whole number"),
        (("method=distilbert", "method.encoders=2", "method.start=last"), r"method.start: 'last' is unknown"),
        (("method=dense", "method.epochs=0"), r"method.epochs: 0 must be a whole number"),
        (("method=distilbert", "method.encoders=2", "method.student=/nowhere"), r"neither a folder nor"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_trained(corpus, tmp_path, overrides, message):
    with pytest.raises(Exception, match=message) as raised:  # Hydra wraps what a constructor raises
        train(corpus, tmp_path, *overrides)
    assert find_user_error(raised.value) is not None
    assert not artifacts(tmp_path)


def test_the_epochs_of_a_method_can_be_set(corpus, tmp_path):
    record = train(corpus, tmp_path, "method=dense", "method.epochs=1", "trainer.max_epochs=2")
    assert record["epochs"] == {"finetune": 2, "retrain": 1}


@pytest.mark.parametrize(("start", "taken"), [("null", (0, 2)), ("first", (0, 1))])
def test_a_student_starts_from_spread_encoders_or_the_first(corpus, runs, start, taken):
    small = (f"method.start={start}", "stages.retrain.learning_rate=1e-12", "weight_decay=0")
    record = train(corpus, runs, *settings("distilbert"), *small)
    finetuned, student = (
        load_model(runs / "artifacts" / record["artifacts"][stage]).base_model.encoder.layer
        for stage in ("finetune", "retrain")
    )
    for own, encoder in zip(student, taken, strict=True):
        for one, other in zip(own.parameters(), finetuned[encoder].parameters(), strict=True):
            torch.testing.assert_close(one, other)


def test_a_student_can_start_from_a_published_checkpoint(corpus, tmp_path, tiny_checkpoint):
    settings = ("method=distilbert", "method.encoders=2", f"method.student={tiny_checkpoint}")
    record = train(corpus, tmp_path, *settings, "trainer.max_epochs=1")
    assert record["word_vectors"]["retained"] == 64
    assert len(read_records(tmp_path / "records")) == 1


def test_elimination_on_a_distilled_model_names_the_whole_chain(corpus, runs):
    distilled = train(corpus, runs, *settings("distilbert"))
    folder = runs / "artifacts" / distilled["artifacts"]["retrain"]
    record = train(corpus, runs, *settings("power_bert"), f"model.path={folder}")
    assert [(entry["method"], entry["stage"]) for entry in record["chain"]] == [
        ("distilbert", "finetune"),
        ("distilbert", "retrain"),
        ("power_bert", "finetune"),
        ("power_bert", "search"),
        ("power_bert", "retrain"),
    ]
    assert record["chain"][1]["knob"] == {"encoders": 2}
    assert len(record["retention_configuration"]) == 2
    assert record["epochs"] == {"finetune": 2, "search": 2, "retrain": 2}
    assert record["baseline"] == distilled["baseline"], "compared with the dense model, not with the student"
    assert record["flops"]["ratio"] > distilled["flops"]["ratio"]
    assert record["word_vectors"]["baseline"] == 96


def test_elimination_on_a_pruned_model(corpus, runs):
    pruned = train(corpus, runs, *settings("head_prune"))
    folder = runs / "artifacts" / pruned["artifacts"]["retrain"]
    record = train(corpus, runs, *settings("power_bert"), f"model.path={folder}")
    model = load_model(runs / "artifacts" / record["artifacts"]["retrain"])
    assert model.config.encoder_heads == load_model(folder).config.encoder_heads
    assert model.config.retention_configuration == record["retention_configuration"]
    assert record["flops"]["ratio"] > pruned["flops"]["ratio"]


def test_without_the_dense_model_the_record_compares_with_its_own(corpus, runs, tmp_path, caplog):
    distilled = train(corpus, runs, *settings("distilbert"))
    folder = tmp_path / "moved"
    shutil.copytree(runs / "artifacts" / distilled["artifacts"]["retrain"], folder)
    record = train(corpus, tmp_path, *settings("power_bert"), f"model.path={folder}", "trainer.max_epochs=1")
    assert record["baseline"]["artifact"] == record["artifacts"]["finetune"]
    assert f"{distilled['baseline']['artifact']}, which is missing" in caplog.text
