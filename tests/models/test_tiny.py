import shutil

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.models import load_host_model, load_tokenizer, longest_input
from powerbert.models.backbone import BACKBONES
from powerbert.models.checkpoint import fingerprint
from powerbert.models.tiny import tiny, tiny_tokenizer


@pytest.mark.parametrize("backbone", BACKBONES)
def test_holds_a_model_and_its_tokenizer(backbone, tmp_path):
    folder = tiny(tmp_path / "tiny", backbone=backbone)
    model, tokenizer = load_host_model(folder), load_tokenizer(folder)
    assert model.config.model_type == backbone
    assert (model.config.pad_token_id, longest_input(model.config)) == (tokenizer.pad_token_id, 512)
    assert model.config.vocab_size == len(tokenizer)
    words = tokenizer(
        ["the film was good", "it is a bad MOVIE, truly; 9/10?"], padding=True, return_tensors="pt"
    )
    assert tokenizer.unk_token_id not in words["input_ids"]
    assert model(**words).logits.shape == (2, 2)
    assert len(tokenizer("it is a very good film, but boring")["input_ids"]) <= 12


def test_an_unknown_backbone_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^model.backbone: 'gpt2' is unknown; choose one of albert, bert"):
        tiny(tmp_path / "tiny", backbone="gpt2")


def test_is_written_once_from_its_seed_alone(tiny_checkpoint, tmp_path):
    state = torch.random.get_rng_state()
    folder = tiny(tmp_path / "again")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert fingerprint(folder) == fingerprint(tiny_checkpoint)
    assert fingerprint(tiny(tmp_path / "other", seed=1)) != fingerprint(tiny_checkpoint)
    (folder / "config.json").write_text("mine")
    assert (tiny(folder) / "config.json").read_text() == "mine"


def test_another_process_may_finish_first(tiny_checkpoint, tmp_path, monkeypatch):
    def overtaken(backbone):
        shutil.copytree(tiny_checkpoint, tmp_path / "tiny")
        return tiny_tokenizer(backbone)

    monkeypatch.setattr("powerbert.models.tiny.tiny_tokenizer", overtaken)
    assert fingerprint(tiny(tmp_path / "tiny")) == fingerprint(tiny_checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("powerbert.models.tiny.tiny_tokenizer", lambda backbone: pytest.fail("full"))
    with pytest.raises(pytest.fail.Exception):
        tiny(tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []
