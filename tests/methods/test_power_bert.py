"""PoWER-BERT end to end with every backbone and every way of word-vector selection, on tiny models."""

import json

import pytest
from hydra.utils import instantiate

from powerbert.base.cli import plain
from powerbert.base.errors import find_user_error
from powerbert.elimination import random_order, retained_by_share
from powerbert.models import load_model
from powerbert.models.backbone import BACKBONES
from powerbert.run.settings import method_settings
from powerbert.store.artifacts import ArtifactStore
from powerbert.store.records import read_records
from tests.run.test_settings import composed
from tests.tiny_runs import artifacts, train


@pytest.mark.parametrize("backbone", sorted(set(BACKBONES) - {"bert"}))
def test_every_backbone_goes_through_the_three_stages(corpus, tmp_path, backbone):
    record = train(corpus, tmp_path, f"model.backbone={backbone}", "trainer.max_epochs=1", "lambda=0.1")
    configuration = record["retention_configuration"]
    assert len(configuration) == 3
    assert configuration[-1] < 32
    assert record["word_vectors"] == {"retained": sum(configuration), "baseline": 96}
    assert record["flops"]["ratio"] > 1
    model = load_model(tmp_path / "artifacts" / record["artifacts"]["retrain"])
    assert type(model) is BACKBONES[backbone].tasks["sequence_classification"]
    assert model.config.retention_configuration == configuration


GIVEN = ("elimination.retention_configuration=[24,12,4]", "trainer.max_epochs=1", "longer_than=16")


@pytest.fixture(scope="module")
def selections(corpus, tmp_path_factory):
    """A record of each selection, as a multirun of `+experiment=selection_table` leaves them."""
    runs = tmp_path_factory.mktemp("runs")
    return runs, {
        name: train(corpus, runs, *GIVEN, f"elimination.selection={name}")
        for name in ("attn", "head", "rand")
    }


def test_selections_share_the_fine_tuned_model_and_the_configuration(selections):
    runs, records = selections
    assert len({record["artifacts"]["finetune"] for record in records.values()}) == 1
    assert len({record["artifacts"]["retrain"] for record in records.values()}) == 3
    assert len(read_records(runs / "records")) == 3
    for name, record in records.items():
        config = load_model(runs / "artifacts" / record["artifacts"]["retrain"]).config
        assert (config.selection, config.retention_configuration) == (name, [24, 12, 4])


def test_the_random_positions_are_drawn_from_the_seed_and_stored(selections, corpus):
    runs, records = selections
    other = train(corpus, runs, *GIVEN, "elimination.selection=rand", "seed=7")
    for record in (records["rand"], other):
        config = json.loads(
            (runs / "artifacts" / record["artifacts"]["retrain"] / "config.json").read_text(encoding="utf-8")
        )
        assert config["selection_order"] == random_order(32, record["seed"])


def test_the_record_tells_the_metric_on_longer_inputs(selections, corpus):
    _, records = selections
    lines = (corpus / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    longer = sum(len(line.split("\t")[0].split()) + 2 > 16 for line in lines)  # every word is one piece
    for record in records.values():
        assert record["longer_than"]["word_pieces"] == 16
        assert record["longer_than"]["inputs"] == longer > 0
        assert 0 <= record["longer_than"]["value"] <= 1
        assert 0 <= record["longer_than"]["baseline"] <= 1


def test_another_length_gives_another_record_from_the_same_artifacts(selections, corpus):
    runs, records = selections
    before = artifacts(runs)
    record = train(corpus, runs, *GIVEN, "longer_than=8")
    assert artifacts(runs) == before
    assert record["longer_than"]["word_pieces"] == 8
    assert record["identity"] != records["attn"]["identity"]
    assert "longer_than" not in train(corpus, runs, *GIVEN, "longer_than=null")


def test_a_static_selection_can_take_the_searched_configuration(corpus, tmp_path):
    record = train(corpus, tmp_path, "elimination.selection=head", "trainer.max_epochs=1", "lambda=0.1")
    assert set(record["artifacts"]) == {"finetune", "search", "retrain"}
    model = load_model(tmp_path / "artifacts" / record["artifacts"]["retrain"])
    assert model.config.selection == "head"
    assert load_model(tmp_path / "artifacts" / record["artifacts"]["search"]).config.selection == "attn"


HASHES = {
    (): "39943e208a7d1f5c",
    ("elimination=released",): "65da8c3c88c5ad33",
    ("elimination.retention_configuration=[9,5,2]", "elimination.selection=head"): "7782a5f25ca8f792",
    ("lambda=0.5",): "117f9fe721c02ee1",
}
"""Identities of the method before it had shares, distillation, targets and [CLS] alone."""


def method_of(tmp_path, *overrides):
    settings = method_settings(plain(composed(tmp_path, *overrides)))
    return instantiate(settings), settings


@pytest.mark.parametrize("overrides", HASHES, ids=" ".join)
def test_new_settings_at_their_defaults_change_no_identity(tmp_path, overrides):
    method, settings = method_of(tmp_path, *overrides)
    assert ArtifactStore.hash(method.identity(settings)) == HASHES[overrides]


@pytest.mark.parametrize(
    "override",
    [
        "elimination.unit=share",
        "elimination.regularizer=cost",
        "method.teacher=finetune",
        "cls_alone=true",
        "elimination.protect=first_text",
    ],
)
def test_a_new_setting_that_is_used_makes_another_identity(tmp_path, override):
    method, settings = method_of(tmp_path, override)
    assert ArtifactStore.hash(method.identity(settings)) not in HASHES.values()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("target_speedup=2",), "target_speedup: it needs elimination.regularizer=cost"),
        (("target_speedup=1", "elimination.regularizer=cost"), "target_speedup: 1 must"),
        (("target_speedup=-3", "elimination=share"), "target_speedup: -3 must"),
        (("target_protocol=both",), "target_protocol: 'both' is unknown"),
        (("elimination.unit=part",), "elimination.unit: 'part' is unknown"),
        (("method.teacher=bert",), "method.teacher: 'bert' is unknown"),
        (("elimination.unit=share", "elimination.retention_configuration=[0.5,0.2]"), "has 2 entries"),
        (
            (
                "target_speedup=1000",
                "elimination=share",
                "elimination.cost=operations",
                "trainer.max_epochs=1",
            ),
            "target_speedup: 1000 is out of reach",
        ),
    ],
)
def test_settings_that_cannot_be_met_are_refused_in_one_line(corpus, tmp_path, overrides, message):
    with pytest.raises(Exception, match=message) as raised:  # Hydra wraps what a constructor raises
        train(corpus, tmp_path, *overrides)
    told = find_user_error(raised.value)
    assert told is not None
    assert "\n" not in str(told)


def test_a_search_by_shares_reaches_a_target_and_records_it(corpus, tmp_path):
    settings = ("elimination=share", "elimination.cost=operations", "method.teacher=finetune")
    record = train(corpus, tmp_path, *settings, "trainer.max_epochs=1", "target_speedup=2.5")
    assert list(record["artifacts"]) == ["finetune", "search", "retrain"]
    assert record["retention_configuration"] is None
    assert len(record["retention_shares"]) == 3
    assert record["cls_alone"] is True
    assert record["target"] == {
        "speedup": 2.5,
        "protocol": "dynamic",
        "predicted": pytest.approx(2.5, rel=0.1),
    }
    model = load_model(tmp_path / "artifacts" / record["artifacts"]["retrain"])
    assert model.config.retention_shares == record["retention_shares"]
    kept = [retained_by_share(share, 32) for share in record["retention_shares"][:-1]]
    assert record["word_vectors"]["retained"] == sum(kept) + 1
    assert record["flops"]["dynamic"]["ratio"] == pytest.approx(2.5, rel=0.25)


def test_the_fine_tuned_model_with_cls_alone_is_a_point(corpus, tmp_path):
    record = train(corpus, tmp_path, "method=unchanged", "cls_alone=true", "trainer.max_epochs=1")
    assert record["cls_alone"] is True
    assert record["epochs"] == {"finetune": 1, "retrain": 0}
    assert record["metric"]["value"] == record["baseline"]["value"]
    assert record["flops"]["ratio"] > record["flops"]["dynamic"]["ratio"] > 1
    assert record["word_vectors"] == {"retained": 65, "baseline": 96}
