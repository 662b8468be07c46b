import os
from functools import partial

import pyarrow as pa
import pytest
from datasets import Features, Value

from powerbert.base.errors import DataError
from powerbert.data.labels import LabelParser
from powerbert.data.table import Selection, cached_dataset
from powerbert.data.table import load_table as load_split

load_table = partial(load_split, split="train")

COLUMNS = {"text": "text"}
LABELS = ("label", LabelParser(["negative", "positive"]))


def test_rows_are_typed_and_empty_texts_kept(write, cache):
    table = load_table(write("a.tsv", "id\ttext\tlabel\n1\tgood\tpositive\n2\t\t0\n"), COLUMNS, LABELS, cache)
    assert table[:] == {"text": ["good", ""], "label": [1, 0]}
    assert table.features == Features({"text": Value("string"), "label": Value("int64")})


def test_regression_labels_are_floats(write, cache):
    path = write("a.csv", "text,score\ngood,4.5\nbad,1\n")
    table = load_table(path, COLUMNS, ("score", LabelParser(None)), cache)
    assert table["label"][:] == [4.5, 1.0]


def test_columns_are_renamed_and_unlabelled_rows_have_no_label(write, cache):
    table = load_table(
        write("a.tsv", "#1 String\tQuality\ngood\t1\n"), {"sentence1": "#1 String"}, None, cache
    )
    assert table[:] == {"sentence1": ["good"]}


@pytest.mark.parametrize(
    ("name", "content", "labels", "message"),
    [
        (
            "a.tsv",
            "text\tlabel\none\t0\ntwo\t2\n",
            LABELS,
            r"a\.tsv, row 2 \(line 3\): column 'label': label '2' is",
        ),
        (
            "a.tsv",
            "text\tlabel\none\t\n",
            LABELS,
            r"a\.tsv, row 1 \(line 2\): column 'label': label is missing",
        ),
        (
            "a.tsv",
            "text\tlabel\none\tnan\n",
            ("label", LabelParser(None)),
            r"row 1 \(line 2\): .* label 'nan' is not",
        ),
        ("a.jsonl", '{"text": null, "label": 0}\n', LABELS, r"row 1 \(line 1\): column 'text' is null"),
        ("a.jsonl", '{"text": ["one"], "label": 0}\n', LABELS, r"column 'text' is of type list"),
        ("a.jsonl", '{"text": "\\ud83d", "label": 0}\n', LABELS, r"row 1 \(line 1\): .* surrogate"),
        ("a.tsv", "text\tlabel\none\t0\ttwo\n", LABELS, r"row 1 \(line 2\): has 3 fields instead of 2"),
    ],
)
def test_bad_row_is_one_clear_error(write, cache, name, content, labels, message):
    for _ in range(2):  # the first failure leaves nothing behind that a second attempt could take for data
        with pytest.raises(DataError, match=message) as caught:
            load_table(write(name, content), COLUMNS, labels, cache)
        assert "\n" not in str(caught.value)


def test_malformed_rows_are_left_out_where_asked(write, cache, caplog):
    path = write("a.tsv", "text\tlabel\none\t0\nstray\ttab\t1\nshort\ntwo\t1\n")
    table = load_table(path, COLUMNS, LABELS, cache, skip_malformed=True)
    assert table["text"][:] == ["one", "two"]
    assert "left out 2 malformed rows, of which the first: " in caplog.text
    assert "row 2 (line 3)" in caplog.text


def test_selection(write, cache):
    path = write("a.tsv", "id\ttext\tlabel\n1\tone\t0\n2\ttwo\t1\n3\tthree\t1\n")
    odd = Selection(lambda values: int(values["id"]) % 2 == 1, ("id",), key="odd")
    even = Selection(lambda values: int(values["id"]) % 2 == 0, ("id",), key="even")
    assert load_table(path, COLUMNS, LABELS, cache, selection=odd)["text"][:] == ["one", "three"]
    assert load_table(path, COLUMNS, LABELS, cache, selection=even)["text"][:] == ["two"]
    none = Selection(lambda values: False, ("id",), key="none")
    with pytest.raises(DataError, match=r"a\.tsv: none of its rows is left"):
        load_table(path, COLUMNS, LABELS, cache, selection=none)


def test_cache_is_reused_for_the_same_content_and_never_stale(write, cache):
    path = write("a.tsv", "text\tlabel\none\t0\n")
    times = path.stat().st_atime, path.stat().st_mtime
    first = load_table(path, COLUMNS, LABELS, cache)
    written = [file["filename"] for file in first.cache_files]

    again = load_table(write("elsewhere/b.tsv", "text\tlabel\none\t0\n"), COLUMNS, LABELS, cache)
    assert [file["filename"] for file in again.cache_files] == written
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
        yield from ({"text": f"{number} " + "x" * 1000} for number in range(20_000))

    before = pa.total_allocated_bytes()
    table = cached_dataset(rows, Features({"text": Value("string")}), {"rows": 20_000}, cache, "train")
    assert len(table) == 20_000
    assert table[19_999]["text"].startswith("19999 ")
    assert table.data.nbytes > 20_000_000
    assert pa.total_allocated_bytes() - before < 2_000_000


def test_error_of_a_bad_row_has_a_chain_that_ends(write, cache):
    with pytest.raises(DataError) as caught:
        load_table(write("a.tsv", "text\tlabel\none\tnan\n"), COLUMNS, LABELS, cache)
    waiting, seen = [caught.value], set()
    while waiting:
        error = waiting.pop()
        seen.add(id(error))
        for follower in (error.__cause__, error.__context__):
            assert id(follower) not in seen, "the chain of errors is a circle"
            if follower is not None:
                waiting.append(follower)
