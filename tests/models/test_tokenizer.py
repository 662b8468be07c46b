import json
import shutil
from contextlib import suppress
from importlib.util import find_spec

import pytest
from transformers import AlbertTokenizer, BertTokenizer

from powerbert.base.errors import ModelError
from powerbert.models import load_tokenizer
from powerbert.models.tiny import tiny, tiny_config


def test_settings_of_the_tokenizer_file_are_reset(tokenizer, tmp_path):
    changed = BertTokenizer(vocab=tokenizer.get_vocab())
    changed.backend_tokenizer.enable_truncation(4)
    changed.backend_tokenizer.enable_padding(length=16)
    changed.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert (loaded.backend_tokenizer.truncation, loaded.backend_tokenizer.padding) == (None, None)
    pieces = ["[CLS]", "the", "movie", "was", "good", "!", "[SEP]"]
    assert loaded.convert_ids_to_tokens(loaded("The movie was good!")["input_ids"]) == pieces


def test_pairs_have_token_types_with_albert_too_and_with_what_is_saved_of_it(tiny_checkpoint, tmp_path):
    albert = load_tokenizer(tiny(tmp_path / "tiny", backbone="albert"))
    saved = tmp_path / "saved"
    albert.save_pretrained(saved)
    again = [load_tokenizer(saved), AlbertTokenizer.from_pretrained(saved)]
    for tokenizer in (load_tokenizer(tiny_checkpoint), albert, *again):
        assert tokenizer("good", "bad film")["token_type_ids"] == [0, 0, 0, 1, 1, 1]
    roberta = load_tokenizer(tiny(tmp_path / "roberta", backbone="roberta"))
    assert "token_type_ids" not in roberta("good", "bad film")


def test_a_folder_without_a_tokenizer_and_one_that_cannot_be_read(tiny_bert, tiny_checkpoint, tmp_path):
    tiny_bert.save_pretrained(tmp_path / "none")
    with pytest.raises(ModelError, match=f"^model folder {tmp_path / 'none'} has no tokenizer"):
        load_tokenizer(tmp_path / "none")
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=f"^model folder {folder}: the tokenizer cannot be read"):
        load_tokenizer(folder)


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="sentencepiece is installed")
def test_a_vocabulary_of_sentencepiece_alone_names_the_package_that_reads_it(tmp_path):
    tiny_config("deberta-v2").save_pretrained(tmp_path)
    (tmp_path / "spm.model").write_bytes(b"\n")
    with pytest.raises(
        ModelError, match=r"cannot be read .*; its \.model file needs: pip install sentencepiece"
    ):
        load_tokenizer(tmp_path)


def test_code_that_a_checkpoint_names_is_not_run(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "bert")
    ran = tmp_path / "ran"
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w')\nclass Tokenizer: pass\n")
    for name in ("tokenizer_config.json", "config.json"):
        fields = json.loads((folder / name).read_text())
        named = {"tokenizer_class": "Tokenizer", "auto_map": {"AutoTokenizer": ["code.Tokenizer"] * 2}}
        (folder / name).write_text(json.dumps(fields | named))
    with suppress(ModelError):
        load_tokenizer(folder)
    assert not ran.exists()


def test_the_longest_input_is_what_the_model_has_positions_for(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    for given in (10**30, 7):
        (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": given}))
        positions = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
        assert load_tokenizer(folder).model_max_length == min(given, positions)


def test_more_word_pieces_than_the_model_embeds_are_refused(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["@user"])
    tokenizer.save_pretrained(folder)
    number = len(tokenizer) - 1
    with pytest.raises(ModelError, match=f"pieces up to number {number}, but the model embeds {number};"):
        load_tokenizer(folder)
