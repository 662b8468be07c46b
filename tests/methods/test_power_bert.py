"""PoWER-BERT end to end with every backbone and every way of word-vector selection, on tiny models."""

import json

import pytest

from powerbert.elimination import random_order
from powerbert.models import load_model
from powerbert.models.backbone import BACKBONES
from powerbert.store.records import read_records
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
