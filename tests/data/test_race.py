import json

import pytest
from datasets import Dataset

from powerbert.base.errors import ConfigError, DataError
from powerbert.data.race import RaceSource, fill_in
from powerbert.data.readers import Row

LETTERS = ["A", "B", "C", "D"]
ARTICLE = {
    "article": 'Tom said: "It\'s\training."\nHe stayed.',
    "questions": ["Why did Tom stay?", "Tom is _ ."],
    "options": [["Rain.", "Sun.", "Snow.", "Wind."], ["at home", "out", "away", "ill"]],
    "answers": ["A", "D"],
    "id": "high1.txt",
}
ROWS = {
    "article": [ARTICLE["article"]] * 2,
    "choices": [
        [f"Why did Tom stay? {option}" for option in ("Rain.", "Sun.", "Snow.", "Wind.")],
        ["Tom is at home .", "Tom is out .", "Tom is away .", "Tom is ill ."],
    ],
    "label": [0, 3],
}


@pytest.fixture
def folder(write, tmp_path):
    for split in ("train", "dev", "test"):
        for level in ("high", "middle"):
            write(f"{split}/{level}/1.txt", json.dumps(ARTICLE | {"article": f"{split} {level}"}))
    write("train/high/1.txt", json.dumps(ARTICLE))
    return tmp_path


def test_question_with_option():
    for question, filled in (("Why?", "Why? a_b"), ("Tom _ and _ .", "Tom a_b and a_b .")):
        row = fill_in(Row("1.txt", {"question": question, "options": ["a_b"]}))
        assert row.values["options"] == [filled]


def test_official_layout(folder, cache):
    source = RaceSource(LETTERS, cache, folder=folder)
    source.available()
    loaded = source.load()
    assert loaded["train"][:2] == ROWS
    assert loaded["train"]["article"][:] == [ARTICLE["article"]] * 2 + ["train middle"] * 2
    assert loaded["dev"]["article"][:] == ["dev high"] * 2 + ["dev middle"] * 2
    assert loaded["test"]["label"][:] == [0, 3, 0, 3]


def test_one_level(folder, cache):
    loaded = RaceSource(LETTERS, cache, folder=folder, level="middle").load()
    assert loaded["test"]["article"][:] == ["test middle"] * 2
    with pytest.raises(ConfigError, match=r"dataset\.source\.level: 'low' is unknown"):
        RaceSource(LETTERS, cache, folder=folder, level="low")


def test_hub(cache, on_hub):
    columns = {"article": [ARTICLE["article"]] * 2, "answer": ARTICLE["answers"]}
    rows = Dataset.from_dict(columns | {"question": ARTICLE["questions"], "options": ARTICLE["options"]})
    on_hub(train=rows, validation=rows.select([1]), test=rows.select([0]))
    loaded = RaceSource(LETTERS, cache).load()
    assert loaded["train"][:] == ROWS
    assert (loaded["dev"]["label"][:], loaded["test"]["label"][:]) == ([3], [0])


def test_fingerprint_changes_with_any_article(folder, cache, write):
    source = RaceSource(LETTERS, cache, folder=folder)
    before = source.fingerprint()
    write("test/middle/1.txt", json.dumps(ARTICLE))
    assert source.fingerprint() != before
    assert source.load()["test"]["article"][2] == ARTICLE["article"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARTICLE | {"answers": ["A", "E"]}, ", question 2: .* label 'E' is not among .*A, B, C, D"),
        (ARTICLE | {"options": [["a"] * 2, ["c"] * 4]}, ", question 1: column 'options' is 2 texts"),
        (ARTICLE | {"options": ["a", "b"]}, ", question 1: column 'options' is of type str"),
        (ARTICLE | {"questions": [None, "b"]}, ", question 1: column 'question' is null"),
        (ARTICLE | {"answers": ["A"]}, ": is not an article of RACE"),
        ({"article": "text"}, ": has no 'questions'"),
        (["text"], ": is not an article of RACE"),
        (b"no JSON", ": is not an article of RACE"),
        (b"\xff{}", ": is not UTF-8"),
    ],
)
def test_bad_article_is_one_clear_error(folder, write, cache, content, message):
    write("dev/high/2.txt", content if isinstance(content, bytes) else json.dumps(content))
    with pytest.raises(DataError, match=rf"high/2\.txt{message}"):
        RaceSource(LETTERS, cache, folder=folder).load()


def test_missing_files(folder, cache, unreachable_hub):
    (folder / "test/high/1.txt").unlink()
    with pytest.raises(DataError, match=r"RACE_DIR=.*: has no \.txt files in test/high$"):
        RaceSource(LETTERS, cache, folder=folder, level="high").available()
    with pytest.raises(DataError, match=r"RACE_DIR is not set, and .*dataset=snippets.*set RACE_DIR="):
        RaceSource(LETTERS, cache).available()
