import shutil

import pytest
import torch

from powerbert.models import load_host_model, load_tokenizer
from powerbert.models.checkpoint import fingerprint
from powerbert.models.tiny import tiny, tiny_tokenizer


def test_holds_a_model_and_its_tokenizer(tiny_checkpoint):
    model, tokenizer = load_host_model(tiny_checkpoint), load_tokenizer(tiny_checkpoint)
    assert model.config.vocab_size == len(tokenizer)
    words = tokenizer(
        ["the film was good", "it is a bad MOVIE, truly; 9/10?"], padding=True, return_tensors="pt"
    )
    assert tokenizer.unk_token_id not in words["input_ids"]
    assert model(**words).logits.shape == (2, 2)


def test_the_same_seed_gives_the_same_files(tiny_checkpoint, tmp_path):
    assert fingerprint(tiny(tmp_path / "again")) == fingerprint(tiny_checkpoint)
    assert fingerprint(tiny(tmp_path / "other", seed=1)) != fingerprint(tiny_checkpoint)


def test_is_written_once(tmp_path):
    folder = tiny(tmp_path / "tiny")
    (folder / "config.json").write_text("mine")
    assert (tiny(folder) / "config.json").read_text() == "mine"


def test_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tiny(tmp_path / "tiny")
    assert torch.equal(torch.rand(3), expected)


def test_another_process_may_finish_first(tiny_checkpoint, tmp_path, monkeypatch):
    def overtaken():
        shutil.copytree(tiny_checkpoint, tmp_path / "tiny")
        return tiny_tokenizer()

    monkeypatch.setattr("powerbert.models.tiny.tiny_tokenizer", overtaken)
    assert fingerprint(tiny(tmp_path / "tiny")) == fingerprint(tiny_checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("powerbert.models.tiny.tiny_tokenizer", lambda: pytest.fail("full"))
    with pytest.raises(pytest.fail.Exception):
        tiny(tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []
