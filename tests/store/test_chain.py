"""Chains of trainings, and the fine-tuned model at their head."""

from pathlib import Path

import pytest

from powerbert.base.errors import ModelError
from powerbert.store.artifacts import Artifact, ArtifactStore
from powerbert.store.chain import chain_of, dense_ancestor


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def make(store: ArtifactStore, stage: str, dataset: str, parent: Artifact | None = None) -> Artifact:
    chain = list(parent.manifest["chain"]) if parent is not None else []
    identity = {
        "stage": stage,
        "dataset": {"content": dataset},
        "parents": [link["artifact"] for link in chain],
    }
    with store.writing(f"{dataset}-{stage}", identity) as slot:
        Path(slot.artifact_folder, "model.safetensors").write_text("weights")
        return slot.finish(metrics={}, chain=[*chain, {"artifact": slot.path.name, "stage": stage}])


def test_it_is_the_first_that_was_trained_on_the_same_data(store):
    mnli = make(store, "finetune", "mnli")
    rte = make(store, "finetune", "rte", mnli)
    distilled = make(store, "retrain", "rte", rte)
    again = make(store, "finetune", "rte", distilled)
    for artifact in (rte, distilled, again):
        assert dense_ancestor(artifact, [store.root]).id == rte.id
    assert dense_ancestor(mnli, [store.root]).id == mnli.id


def test_it_is_never_a_model_that_a_method_made(store, caplog):
    finetuned = make(store, "finetune", "rte")
    distilled = make(store, "retrain", "rte", finetuned)
    again = make(store, "finetune", "rte", distilled)
    (finetuned.path / "manifest.json").unlink()
    assert dense_ancestor(again, [store.root]) is None
    assert f"made from {finetuned.path.name}, which is gone" in caplog.text


def test_a_model_of_other_data_is_not_compared_with(store):
    mnli = make(store, "finetune", "mnli")
    assert dense_ancestor(mnli, [store.root], {"content": "rte"}) is None
    assert dense_ancestor(mnli, [store.root], {"content": "mnli"}).id == mnli.id


def test_a_pretrained_model_has_none(store):
    assert dense_ancestor(None, [store.root]) is None


@pytest.mark.parametrize("name", ["../other", "/etc", "a/b", "..", "", None])
def test_a_chain_names_artifacts_and_never_paths(name):
    artifact = Artifact(Path("model"), {"chain": [{"artifact": name}]})
    with pytest.raises(ModelError, match="which is no artifact"):
        chain_of(artifact)


def test_the_trainings_behind_an_artifact():
    chain = [{"artifact": "rte-bert_base-finetune-0123abcd", "stage": "finetune"}]
    assert chain_of(Artifact(Path("model"), {"chain": chain})) == chain
    assert chain_of(None) == chain_of(Artifact(Path("model"), {})) == []
