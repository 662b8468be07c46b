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
        ("train.tsv train.csv dev.tsv", r"both train\.csv and train\.tsv could be train; remove one"),
        ("Train.TSV train.tsv dev.tsv", r"both Train\.TSV and train\.tsv could be train; remove one"),
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
    with pytest.raises(DataError, match=r"is one file; dataset\.split="):
        FolderSource(write("train.tsv", "text\tlabel\n"), ["text"], NAMES, cache).available()
