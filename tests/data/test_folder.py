import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import content_hash
from powerbert.data.folder import FolderSource
from powerbert.data.table import file_digest

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
    "settings",
    [
        {"split": [0.5, 0.5]},
        {"on_bad_row": "skip"},
        {"encoding": "cp1252"},
        {"delimiter": ","},
        {"header": ["text", "label"]},
    ],
)
def test_a_setting_that_changes_what_is_read_changes_the_fingerprint(write, cache, settings):
    path = write("all.csv", "text,label\none,0\n")
    split = {"split": [0.8, 0.2]}
    source = FolderSource(path, ["text"], NAMES, cache, **split)
    assert (
        FolderSource(path, ["text"], NAMES, cache, **(split | settings)).fingerprint() != source.fingerprint()
    )


def test_quotes_that_are_removed_change_the_fingerprint_and_default_settings_do_not(write, tmp_path, cache):
    for split in ("train", "dev"):
        write(f"{split}.tsv", 'text\tlabel\n"say ""so"""\t0\n')
    source = FolderSource(tmp_path, ["text"], NAMES, cache)
    digests = {split: file_digest(tmp_path / f"{split}.tsv") for split in ("train", "dev")}
    assert source.fingerprint() != content_hash(digests | {"label": "label"})
    assert source.load()["dev"]["text"][:] == ['say "so"']
    write("dev.tsv", 'text\tlabel\n5" disk\t0\n')
    write("train.tsv", "text\tlabel\none\t0\n")
    digests = {split: file_digest(tmp_path / f"{split}.tsv") for split in ("train", "dev")}
    assert source.fingerprint() == content_hash(digests | {"label": "label"})


def test_shards_are_read_in_order_and_a_query_is_not_divided(write, tmp_path, cache):
    for number in range(12):
        rows = "".join(f"query {query}\tpassage {number}\t{number % 2}\n" for query in range(20))
        write(f"train-{number:05}-of-00012.tsv", f"query\tpassage\tlabel\n{rows}")
    shares = {"split": [0.5, 0.5], "kind": "reranking"}
    loaded = FolderSource(tmp_path, ["query", "passage"], None, cache, **shares).load()
    assert loaded["train"]["passage"][0] == "passage 0"
    assert loaded["train"]["passage"][-1] == "passage 11"
    queries = [set(rows["query"]) for rows in loaded.values()]
    assert [len(found) for found in queries] == [10, 10]
    assert not queries[0] & queries[1]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        *(
            ({"split": split}, "dataset.split")
            for split in (0.8, [1.0], [0.8, 0.1], [0.5, 0.6], [1.5, -0.5], ["a", 1])
        ),
        ({"on_bad_row": "drop"}, "dataset.on_bad_row"),
        ({"encoding": "latin"}, None),
        ({"encoding": "base64"}, "dataset.source.encoding"),
        ({"encoding": "wrong"}, "dataset.source.encoding"),
        ({"delimiter": "::"}, "dataset.source.delimiter"),
        ({"header": ["text"]}, "dataset.source.header"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path, cache, settings, key):
    if key is None:
        FolderSource(tmp_path, ["text"], NAMES, cache, **settings)
    else:
        with pytest.raises(ConfigError, match=f"^{key}: "):
            FolderSource(tmp_path, ["text"], NAMES, cache, **settings)


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
