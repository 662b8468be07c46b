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
    chain = chain_of(parent)
    parents = [training["artifact"] for training in chain]
    identity = {"stage": stage, "dataset": {"content": dataset}, "parents": parents}
    with store.writing(f"{dataset}-{stage}", identity) as slot:
        Path(slot.artifact_folder, "model.safetensors").write_text("weights")
        return slot.finish(metrics={}, chain=[*chain, {"artifact": slot.path.name, "stage": stage}])


def test_it_is_the_first_that_was_trained_on_the_same_data(store):
    mnli = make(store, "finetune", "mnli")
    rte = make(store, "finetune", "rte", mnli)
    distilled = make(store, "retrain", "rte", rte)
    again = make(store, "finetune", "rte", distilled)
    assert [training["artifact"] for training in chain_of(again)] == [
        artifact.id for artifact in (mnli, rte, distilled, again)
    ]
    for artifact in (rte, distilled, again):
        assert dense_ancestor(artifact, [store.root]).id == rte.id
    assert dense_ancestor(mnli, [store.root]).id == mnli.id
    assert dense_ancestor(mnli, [store.root], {"content": "mnli"}).id == mnli.id
    assert dense_ancestor(mnli, [store.root], {"content": "rte"}) is None


def test_it_is_never_a_model_that_a_method_made(store, caplog):
    finetuned = make(store, "finetune", "rte")
    distilled = make(store, "retrain", "rte", finetuned)
    again = make(store, "finetune", "rte", distilled)
    (finetuned.path / "manifest.json").unlink()
    assert dense_ancestor(again, [store.root]) is None
    assert finetuned.path.name in caplog.text


def test_a_pretrained_model_has_none(store):
    assert dense_ancestor(None, [store.root]) is None
    assert chain_of(None) == chain_of(Artifact(Path("model"), {})) == []


@pytest.mark.parametrize("name", ["../other", "/etc", "a/b", "..", "", None])
def test_a_chain_names_artifacts_and_never_paths(name):
    artifact = Artifact(Path("model"), {"chain": [{"artifact": name}]})
    with pytest.raises(ModelError, match=r"^model/manifest\.json: chain: "):
        chain_of(artifact)
