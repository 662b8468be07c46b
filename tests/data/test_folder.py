import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powerbert.base.errors import DataError
from powerbert.data.folder import FolderSource

NAMES = ["bad", "good"]


def test_one_format_a_split(write, tmp_path, cache):
    write("train.csv", 'title,body,verdict\n"A, B",long,good\n')
    write("validation.jsonl", '{"title": "C", "body": "", "verdict": 0}\n')
    pq.write_table(
        pa.table({"title": ["D"], "body": ["short"], "verdict": ["bad"]}), tmp_path / "test.parquet"
    )
    source = FolderSource(tmp_path, ["title", "body"], NAMES, cache, label_column="verdict")
    source.available()
    assert {split: rows[:] for split, rows in source.load().items()} == {
        "train": {"title": ["A, B"], "body": ["long"], "label": [1]},
        "dev": {"title": ["C"], "body": [""], "label": [0]},
        "test": {"title": ["D"], "body": ["short"], "label": [0]},
    }


def test_regression_and_unlabelled_test(write, tmp_path, cache):
    for split in ("train", "dev"):
        write(f"{split}.tsv", "text\tlabel\none\t0.5\ntwo\t-2\n")
    write("test.tsv", "text\nthree\n")
    loaded = FolderSource(tmp_path, ["text"], None, cache).load()
    assert loaded["dev"]["label"][:] == [0.5, -2.0]
    assert loaded["test"].column_names == ["text"]


LABELS = "multi_label_classification"


def test_several_labels_a_row(write, tmp_path, cache):
    """Columns with 0 and 1, a list, and a text of names give the same rows."""
    for split in ("train", "dev"):
        write(f"columns/{split}.csv", "text,good,dull,id\none,1,0,7\ntwo,0,0,8\nthree,1,1,9\n")
        rows = [("one", ["good"]), ("two", []), ("three", ["dull", "good"])]
        listed = "".join(f'{{"text": "{text}", "labels": {json.dumps(labels)}}}\n' for text, labels in rows)
        write(f"list/{split}.jsonl", listed)
        write(f"text/{split}.tsv", "text\tlabels\none\tgood\ntwo\t\nthree\tdull|good\n")
    labels = ["good", "dull"]
    columns = FolderSource(tmp_path / "columns", ["text"], None, cache, label_columns=labels, kind=LABELS)
    of_list = FolderSource(tmp_path / "list", ["text"], labels, cache, label_column="labels", kind=LABELS)
    settings = {"label_column": "labels", "kind": LABELS, "label_separator": "|"}
    of_text = FolderSource(tmp_path / "text", ["text"], labels, cache, **settings)
    for source in (columns, of_list, of_text):
        assert source.load()["train"][:] == {
            "text": ["one", "two", "three"],
            "label": [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]],
        }
    comma = FolderSource(tmp_path / "text", ["text"], labels, cache, **settings | {"label_separator": ","})
    assert comma.fingerprint() != of_text.fingerprint()
    with pytest.raises(
        DataError, match=r"text/train\.tsv, row 3 \(line 4\): column 'labels': label 'dull\|good'"
    ):
        comma.load()
    one = FolderSource(tmp_path / "columns", ["text"], ["0", "1"], cache, label_column="good")
    assert one.load()["dev"]["label"][:] == [1, 0, 1], "the same column as a class is converted anew"


def test_an_unlabelled_test_of_several_columns(write, tmp_path, cache):
    for split in ("train", "dev"):
        write(f"{split}.csv", "text,good,dull\none,1,0\n")
    labels = {"label_columns": ["good", "dull"], "kind": LABELS}
    write("test.csv", "text\none\n")
    assert FolderSource(tmp_path, ["text"], None, cache, **labels).load()["test"].column_names == ["text"]
    write("test.csv", "text,good\none,1\n")
    with pytest.raises(DataError, match=r"test\.csv: has no column 'dull'; its columns are text, good"):
        FolderSource(tmp_path, ["text"], None, cache, **labels).load()


def test_fingerprint_changes_with_content_and_label_column(write, tmp_path, cache):
    for split in ("train", "dev"):
        write(f"{split}.tsv", "text\tlabel\tother\none\t0\t1\n")
    one = FolderSource(tmp_path, ["text"], NAMES, cache).fingerprint()
    assert one == FolderSource(tmp_path, ["text"], NAMES, cache).fingerprint()
    assert one != FolderSource(tmp_path, ["text"], NAMES, cache, label_column="other").fingerprint()
    write("dev.tsv", "text\tlabel\tother\none\t1\t1\n")
    assert one != FolderSource(tmp_path, ["text"], NAMES, cache).fingerprint()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("dev.tsv", r"has no file for train; it needs train with one of the suffixes \.tsv"),
        ("train.tsv", r"has no file for dev; it needs dev or validation or valid or val"),
        ("train.tsv train.csv dev.tsv", r"both train\.tsv and train\.csv could be train; remove one"),
    ],
)
def test_missing_or_ambiguous_files(write, tmp_path, cache, files, message):
    for name in files.split():
        write(name, "text\tlabel\none\t0\n")
    with pytest.raises(DataError, match=message):
        FolderSource(tmp_path, ["text"], NAMES, cache).available()


def test_path_that_is_no_folder(write, tmp_path, cache):
    with pytest.raises(DataError, match=r"dataset\.source\.path: give the folder"):
        FolderSource(None, ["text"], NAMES, cache).available()
    with pytest.raises(DataError, match="there is no such folder"):
        FolderSource(tmp_path / "nowhere", ["text"], NAMES, cache).available()
    with pytest.raises(DataError, match="is a file; give its folder"):
        FolderSource(write("train.tsv", "text\tlabel\n"), ["text"], NAMES, cache).available()
