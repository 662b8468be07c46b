import pytest
from datasets import Dataset

from powerbert.base.errors import DataError
from powerbert.data.imdb import ImdbSource
from powerbert.data.table import bucket

NAMES = ["negative", "positive"]
REVIEWS = [f'review "{number}"<br /><br />with breaks' for number in range(200)]
FILE = "sentence\tlabel\n" + "".join(f"{review}\t{number % 2}\n" for number, review in enumerate(REVIEWS))


def splits(loaded):
    return {split: rows["sentence"][:] for split, rows in loaded.items()}


def test_training_data_is_split_by_the_text(write, tmp_path, cache):
    write("train.tsv", FILE)
    write("test.tsv", FILE)
    loaded = ImdbSource(NAMES, cache, folder=tmp_path).load()
    assert splits(loaded) == {
        "train": [review for review in REVIEWS if bucket(review) < 80],
        "dev": [review for review in REVIEWS if bucket(review) >= 80],
        "test": REVIEWS,
    }
    assert 140 < len(loaded["train"]) < 180


def test_hub_gives_the_same_as_the_files(write, tmp_path, cache, on_hub):
    write("train.tsv", FILE)
    write("test.tsv", FILE)
    rows = Dataset.from_dict({"text": REVIEWS, "label": [number % 2 for number in range(200)]})
    on_hub(train=rows, test=rows, unsupervised=rows)
    of_hub, of_files = ImdbSource(NAMES, cache).load(), ImdbSource(NAMES, cache, folder=tmp_path).load()
    assert {name: part[:] for name, part in of_hub.items()} == {
        name: part[:] for name, part in of_files.items()
    }


def test_real_files(imdb_dir, cache):
    loaded = ImdbSource(NAMES, cache, folder=imdb_dir).load()
    assert len(loaded["train"]) + len(loaded["dev"]) == 5000
    assert len(loaded["test"]) == 5000
    assert set(loaded["dev"]["label"]) == {0, 1}
    assert not set(loaded["train"]["sentence"]) & set(loaded["dev"]["sentence"])


def test_missing_files(write, tmp_path, cache, unreachable_hub):
    write("train.tsv", FILE)
    with pytest.raises(DataError, match=r"has neither test\.tsv nor test\.tsv\.gz"):
        ImdbSource(NAMES, cache, folder=tmp_path).available()
    with pytest.raises(DataError, match=r"IMDB_DIR is not set, and .*dataset=snippets.*set IMDB_DIR="):
        ImdbSource(NAMES, cache).available()
