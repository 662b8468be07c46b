"""Any dataset file gives rows or a `UserError`."""

import gzip
import io
import json
import zlib
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from powerbert.base.errors import DataError, UserError
from powerbert.data import readers
from powerbert.data.folder import FolderSource
from powerbert.data.readers import read_rows
from tests.fuzz.harness import KINDS, read

INPUTS = sorted((Path(__file__).parents[1] / "fuzz" / "inputs").iterdir())
TEXT_KINDS = [kind for kind in KINDS if kind not in (".parquet", "race") and not kind.endswith(".gz")]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = rb'text label good 1 -1e999 nan null true "text": "label": , : " "" { } [ ] "\ud800"'.split()
PIECES = [*WORDS, b"\t", b"\n", b"\r\n", b"\r", b" ", b"\0", b"[" * 3000, b"x" * 5000]
PIECES += [b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\xed\xa0\x80", b"\xe2\x80\xa8"]
files = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=40).map(b"".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@QUICK
@given(st.sampled_from(TEXT_KINDS), files)
@example(".tsv", b"text\ttext\tlabel\na\tb\tc\n")
@example(".csv", b'text,label\n"a')
@example(".jsonl", b'{"text": "a", "text": 1, "label": 1e400}')
def test_text_files_give_rows_or_one_message(kind, content):
    read(kind, content)
    read(f"{kind}.gz", gzip.compress(content))


@QUICK
@given(st.sampled_from(TEXT_KINDS), st.binary(max_size=200), st.integers(0, 300))
def test_damaged_gzip_gives_rows_or_one_message(kind, content, place):
    packed = bytearray(gzip.compress(b"text\tlabel\na\t1\n" + content))
    packed[place % len(packed)] ^= 1 << place % 8
    read(f"{kind}.gz", bytes(packed))
    read(f"{kind}.gz", bytes(packed[:place]))


@QUICK
@given(
    st.lists(st.dictionaries(st.sampled_from(["text", "label", "more"]), json_values, max_size=3), max_size=4)
)
def test_json_of_any_type_gives_rows_or_one_message(rows):
    read(".jsonl", "\n".join(map(json.dumps, rows)).encode())


@QUICK
@given(st.fixed_dictionaries(dict.fromkeys(("article", "questions", "options", "answers"), json_values)))
def test_articles_of_any_type_give_rows_or_one_message(article):
    read("race", json.dumps(article).encode())


PARQUET = [
    pa.table([pa.array(["a"]), pa.array(["b"]), pa.array([1])], names=["text", "text", "label"]),
    pa.table({"text": pa.array([2**62], pa.timestamp("us")), "label": [1]}),
    pa.table({"text": pa.array([2**31 - 1], pa.date32()), "label": pa.array([2**62], pa.duration("us"))}),
    pa.table({"text": pa.array(["a"]).dictionary_encode(), "label": [None]}),
    pa.table({"text": [b"\xff"], "label": [{"a": [1]}]}),
    pa.table({"text.a": ["x"], "text": [{"a": "y"}], "label": [1.5]}),
    pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int8())}),
]


@pytest.mark.parametrize("table", PARQUET, ids=lambda table: " ".join(map(str, table.schema.types)))
def test_parquet_of_any_type_gives_rows_or_one_message(table):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    read(".parquet", buffer.getvalue())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_what_the_fuzzer_found_is_mended(path):
    data = path.read_bytes()
    read(KINDS[data[0] % len(KINDS)], data[1:])


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("a.tsv.gz", [b"text\tlabel\n", *[bytes(1 << 20)] * 4], r"line 2: is longer than 1 MiB"),
        ("a.jsonl.gz", [b'{"text": "', *[b"a" * (1 << 20)] * 4], r"line 1: is longer than 1 MiB"),
        ("a.csv.gz", [b'text,label\na,"', *[b'\n","' * (1 << 18)] * 4], r"line 2: is not CSV .it is longer"),
        ("a.csv.gz", [b'text,label\n"', *[b"a\n" * (1 << 19)] * 4], r"line 2: is not CSV .(it|field) is? ?l"),
    ],
)
def test_a_small_file_that_grows_without_end_is_given_up(name, parts, message, tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST_ROW", 1 << 20)
    packer = zlib.compressobj(wbits=31)
    (tmp_path / name).write_bytes(b"".join([*map(packer.compress, parts), packer.flush()]))
    with pytest.raises(DataError, match=message):
        list(read_rows(tmp_path / name, ["text", "label"]))


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.parquet"])
def test_a_message_is_short_however_long_the_file_makes_its_names(name, tmp_path):
    names = [f"{number}{'x' * 1000}" for number in range(1000)]
    if name == "a.parquet":
        pq.write_table(pa.table({column: ["a"] for column in names}), tmp_path / name)
    else:
        separator = "\t" if name == "a.tsv" else ","
        line = json.dumps(dict.fromkeys(names)) if name == "a.jsonl" else separator.join(names)
        (tmp_path / name).write_text(line + "\na\n")
    with pytest.raises(DataError, match=r"'text'.*\.\.\.") as raised:
        list(read_rows(tmp_path / name, ["text"]))
    assert len(str(raised.value)) < 3000


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.tsv").write_text("text\na\n")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"a\.tsv: cannot be read \(Permission denied\)"):
        list(read_rows(tmp_path / "a.tsv", ["text"]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([".tsv", ".csv", ".jsonl"]), files, st.sampled_from([("bad", "good"), None]))
@example(".jsonl", b'{"text": "a\\u0000b", "label": "\\ud800"}', ("bad", "good"))
@example(".tsv", b"text\tlabel\na\0b\t1\n", ("bad", "good"))
def test_a_folder_of_ones_own_gives_a_dataset_or_one_message(tmp_path_factory, kind, content, names):
    folder = tmp_path_factory.mktemp("folder")
    for split in ("train", "dev"):
        (folder / f"{split}{kind}").write_bytes(content)
    with suppress(UserError):
        FolderSource(folder, ["text"], names, folder / "cache").load()


def test_the_limit_of_a_row_leaves_room_for_any_text():
    assert readers.LONGEST_ROW >= 1 << 24
