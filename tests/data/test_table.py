import os
from functools import partial

import pyarrow as pa
import pytest
from datasets import Dataset, Features, Value

from powerbert.base.errors import DataError
from powerbert.data.readers import Row
from powerbert.data.table import convert_rows, divide
from powerbert.data.table import load_table as load_split
from powerbert.data.task import LabelParser

load_table = partial(load_split, split="train")

COLUMNS = {"text": "text"}
LABELS = ("label", LabelParser(["negative", "positive"]))
NUMBERS = ("label", LabelParser(None))


def test_rows_are_typed_and_empty_texts_kept(write, cache):
    table = load_table(write("a.tsv", "id\ttext\tlabel\n1\tgood\tpositive\n2\t\t0\n"), COLUMNS, LABELS, cache)
    assert table[:] == {"text": ["good", ""], "label": [1, 0]}
    assert table.features == Features({"text": Value("string"), "label": Value("int64")})


def test_regression_labels_are_floats(write, cache):
    table = load_table(write("a.csv", "text,label\ngood,4.5\nbad,1\n"), COLUMNS, NUMBERS, cache)
    assert table["label"][:] == [4.5, 1.0]


def test_columns_are_renamed_and_unlabelled_rows_have_no_label(write, cache):
    path = write("a.tsv", "#1 String\tQuality\ngood\t1\n")
    assert load_table(path, {"sentence1": "#1 String"}, None, cache)[:] == {"sentence1": ["good"]}


@pytest.mark.parametrize(
    ("name", "content", "labels", "message"),
    [
        ("a.tsv", "one\t0\ntwo\t2\n", LABELS, r"row 2 \(line 3\): column 'label': label '2' is"),
        ("a.tsv", "one\t\n", LABELS, r"a\.tsv, row 1 \(line 2\): column 'label': label is missing"),
        ("a.tsv", "one\tnan\n", NUMBERS, r"row 1 \(line 2\): .* label 'nan' is not"),
        ("a.jsonl", '{"text": null, "label": 0}\n', LABELS, r"row 1 \(line 1\): column 'text' is null"),
        ("a.jsonl", '{"text": ["one"], "label": 0}\n', LABELS, r"column 'text' is of type list"),
        ("a.jsonl", '{"text": "\\ud83d", "label": 0}\n', LABELS, r"row 1 \(line 1\): .* surrogate"),
        ("a.tsv", "one\t0\ttwo\n", LABELS, r"row 1 \(line 2\): has 3 fields instead of 2"),
    ],
)
def test_bad_row_is_one_clear_error(write, cache, name, content, labels, message):
    path = write(name, ("text\tlabel\n" if name == "a.tsv" else "") + content)
    for _ in range(2):  # the first failure leaves nothing behind that a second attempt could take for data
        with pytest.raises(DataError, match=message) as caught:
            load_table(path, COLUMNS, labels, cache)
        assert "\n" not in str(caught.value)


def test_cache_is_reused_for_the_same_content_and_never_stale(write, cache):
    path = write("a.tsv", "text\tlabel\none\t0\n")
    times = path.stat().st_atime, path.stat().st_mtime
    first = load_table(path, COLUMNS, LABELS, cache)

    again = load_table(write("elsewhere/b.tsv", "text\tlabel\none\t0\n"), COLUMNS, LABELS, cache)
    assert again.cache_files == first.cache_files
    assert again._fingerprint == first._fingerprint

    path.write_text("text\tlabel\ntwo\t0\n")
    os.utime(path, times)  # same name, size and time: only the content tells
    changed = load_table(path, COLUMNS, LABELS, cache)
    assert changed["text"][:] == ["two"]
    assert changed._fingerprint != first._fingerprint


def test_equal_rows_of_two_splits_are_each_called_by_their_name(write, cache):
    path = write("a.tsv", "text\tlabel\none\t0\n")
    for split in ("train", "dev", "train"):
        rows = load_split(path, COLUMNS, LABELS, cache, split=split)
        assert rows[:] == {"text": ["one"], "label": [0]}
        assert rows.split == split


def test_other_classes_are_read_anew(write, cache):
    path = write("a.tsv", "text\tlabel\none\tgood\n")
    for names, index in ((["good", "bad"], 0), (["bad", "good"], 1)):
        assert load_table(path, COLUMNS, ("label", LabelParser(names)), cache)["label"][:] == [index]


def test_rows_lie_on_disk_not_in_memory(cache):
    def rows():
        yield from (Row(f"row {number}", {"text": f"{number} " + "x" * 1000}) for number in range(20_000))

    before = pa.total_allocated_bytes()
    table = convert_rows(rows, COLUMNS, None, {"rows": 20_000}, cache, "train")
    assert len(table) == 20_000
    assert table[19_999]["text"].startswith("19999 ")
    assert table.data.nbytes > 20_000_000
    assert pa.total_allocated_bytes() - before < 2_000_000


def test_error_of_a_bad_row_has_a_chain_that_ends(write, cache):
    with pytest.raises(DataError) as caught:
        load_table(write("a.tsv", "text\tlabel\none\tnan\n"), COLUMNS, LABELS, cache)
    error, seen = caught.value, []
    while error is not None:
        assert error not in seen, "the chain of errors is a circle"
        seen.append(error)
        error = error.__cause__ or error.__context__


def numbered(count, classes=4):
    texts = [f"text {number // 2 * 2}" for number in range(count)]  # each twice
    return Dataset.from_dict({"text": texts, "label": [number // 2 % classes for number in range(count)]})


def test_division_is_of_each_class_and_keeps_equal_texts_together():
    divided = divide({"train": numbered(400)}, [0.8, 0.1, 0.1], ["text"], stratify=True)
    assert {
        split: [rows["label"][:].count(label) for label in range(4)] for split, rows in divided.items()
    } == {
        "train": [80] * 4,
        "dev": [10] * 4,
        "test": [10] * 4,
    }
    texts = {split: set(rows["text"]) for split, rows in divided.items()}
    assert sum(map(len, texts.values())) == 200
    shuffled = divide({"train": numbered(400).shuffle(seed=1)}, [0.8, 0.1, 0.1], ["text"], stratify=True)
    assert {split: set(rows["text"]) for split, rows in shuffled.items()} == texts


def test_division_gives_each_part_a_row_of_a_rare_class():
    rows = Dataset.from_dict({"text": list(map(str, range(100))), "label": [int(n < 4) for n in range(100)]})
    divided = divide({"train": rows}, [0.8, 0.1, 0.1], ["text"], stratify=True)
    assert [part["label"][:].count(1) for part in divided.values()] == [2, 1, 1]


def test_division_of_train_beside_a_test_split():
    whole = {"train": numbered(90, classes=1), "test": numbered(5)}
    divided = divide(whole, [0.8, 0.1, 0.1], ["text"], stratify=False)
    assert [(split, len(rows)) for split, rows in divided.items()] == [
        ("train", 80),
        ("dev", 10),
        ("test", 5),
    ]
