import gzip
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powerbert.base.errors import DataError
from powerbert.data.readers import Skipped, column_names, find_form, read_rows


def values(path, columns, **kwargs):
    return [tuple(row.values[column] for column in columns) for row in read_rows(path, columns, **kwargs)]


def test_quotes_in_a_tsv_are_text(write):
    path = write("a.tsv", 'text\tlabel\n"half a quote\t0\n"all" of it\t1\nit\'s ""\t0\n')
    assert values(path, ["text"]) == [('"half a quote',), ('"all" of it',), ('it\'s ""',)]


def test_quotes_in_a_csv_are_quoting(write):
    path = write("a.csv", 'text,label\n"one, two",0\n"says ""no""",1\n"two\nlines",0\nplain,1\n')
    rows = list(read_rows(path, ["text", "label"]))
    assert [row.values["text"] for row in rows] == ["one, two", 'says "no"', "two\nlines", "plain"]
    places = ["row 1 (line 2)", "row 2 (line 3)", "row 3 (line 4)", "row 4 (line 6)"]
    assert [row.place for row in rows] == [f"{path}, {place}" for place in places]


@pytest.mark.parametrize(("name", "separator"), [("a.tsv", b"\t"), ("a.csv", b",")])
def test_byte_order_mark_and_line_ends(write, name, separator):
    content = b"\xef\xbb\xbftext\tlabel\r\none\t0\r\ntwo\t1".replace(b"\t", separator)
    for end in (b"", b"\n", b"\r\n"):
        assert values(write(name, content + end), ["text", "label"]) == [("one", "0"), ("two", "1")]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_line_feed_ends_a_row(write, character):
    path = write("a.tsv", f"text\tlabel\none{character}two\t0\n")
    assert values(path, ["text", "label"]) == [(f"one{character}two", "0")]


def test_compressed(write):
    path = write("a.tsv.gz", gzip.compress(b"text\tlabel\none\t0\n"))
    assert values(path, ["text"]) == [("one",)]
    whole = path.read_bytes()
    path.write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"a\.tsv\.gz: is not a complete gzip file"):
        values(path, ["text"])


def test_json_lines(write):
    path = write("a.jsonl", '{"text": "one\\ttwo", "label": 1}\n\n{"label": "x", "text": "", "more": []}\n')
    assert values(path, ["text", "label"]) == [("one\ttwo", 1), ("", "x")]
    assert column_names(path) == ["text", "label"]


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", ""], "label": [1, 0], "unused": [b"\xff", None]}), path)
    assert values(path, ["text", "label"]) == [("one", 1), ("", 0)]
    assert column_names(path) == ["text", "label", "unused"]


def test_file_without_header_line(write):
    path = write("a.tsv", "s1\t0\t*\tone\ns2\t1\t\ttwo\n")
    header = ("source", "label", "mark", "sentence")
    assert values(path, ["sentence", "label"], header=header) == [("one", "0"), ("two", "1")]
    assert column_names(path) == ["s1", "0", "*", "one"]


def test_blank_lines_at_the_end_are_skipped_but_not_elsewhere(write):
    assert values(write("a.tsv", "text\tlabel\none\t0\n\n\r\n"), ["text"]) == [("one",)]
    with pytest.raises(DataError, match=r"row 2 \(line 3\): has 0 fields instead of 2"):
        values(write("b.tsv", "text\tlabel\none\t0\n\ntwo\t1\n"), ["text"])


def test_blank_line_of_a_single_column_is_an_empty_text(write):
    assert values(write("a.tsv", "text\none\n\ntwo\n"), ["text"]) == [("one",), ("",), ("two",)]
    assert values(write("a.csv", "text\none\n\ntwo\n"), ["text"]) == [("one",), ("",), ("two",)]


HEADER = "text\tlabel\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", HEADER + "one\t0\ntwo\n", r"row 2 \(line 3\): has 1 fields instead of 2 \(text, label\)"),
        ("a.tsv", HEADER + "one\ttwo\t0\n", r"row 1 \(line 2\): has 3 fields instead of 2"),
        ("a.csv", "text,label\none,two,0\n", r"row 1 \(line 2\): has 3 fields instead of 2"),
        ("a.csv", 'text,label\none,0\n"two,1\n', r"the row that begins at line 3: is not CSV"),
        ("a.tsv", "sentence\tlabel\none\t0\n", r"has no column 'text'; its columns are sentence, label"),
        ("a.tsv", "text\ttext\tlabel\none\ttwo\t0\n", r"its header names the column 'text' twice"),
        ("a.tsv", "", r"is empty"),
        ("a.tsv", HEADER, r"has no rows"),
        ("a.jsonl", "\n\n", r"has no rows"),
        ("a.jsonl", '{"text": "one"}\n', r"row 1 \(line 1\): has no column 'label'; it has text"),
        ("a.jsonl", '{"text": "", "label": 0}\n{"text"\n', r"row 2 \(line 2\): is not one JSON object"),
        ("a.jsonl", f'{{"label": {"1" * 5000}}}\n', r"row 1 \(line 1\): is not one JSON object on one line"),
        ("a.jsonl", '["one", 0]\n', r"row 1 \(line 1\): is not a JSON object"),
        ("a.parquet", "no parquet", r"is not a Parquet file"),
        ("a.xlsx", "text", r"unknown kind of file"),
        ("a.tsv", b"text\tlabel\none\t0\ncaf\xe9\t1\n", r"line 3: byte 0xe9 is not UTF-8"),
        ("a.csv", b"text,label\none,0\ncaf\xe9,1\n", r"line 3: byte 0xe9 is not UTF-8"),
        ("a.jsonl", b'{"text": "\xe9", "label": 1}\n', r"line 1: byte 0xe9 is not UTF-8"),
        ("a.tsv", HEADER.encode("utf-16-le") + b"\xff", r"line 2: byte 0xff is not UTF-8"),
        ("a.tsv", HEADER.encode("utf-16") + b"\n", r"line 2: byte 0x0a is not UTF-16"),
        ("a.json", '[{"text": "one", "label": 0}, 1]', r"row 2 \(line 1\): is not a JSON object"),
        ("a.json", '[{"text": "one",\n "label": 0},\n{"text": ', r"line 3: is not a JSON array of objects"),
        ("a.json", '[{"text": "one", "label": 0}]\n[]', r"line 1: is not a JSON array of objects"),
        ("a.json", "[]", r"has no rows"),
    ],
)
def test_bad_file_names_file_and_row(write, name, content, message):
    with pytest.raises(DataError, match=rf"{re.escape(name)}(: |, ){message}"):
        values(write(name, content), ["text", "label"])


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.tsv: there is no such file"):
        values(tmp_path / "none.tsv", ["text"])


def test_parquet_text_that_is_not_utf8(tmp_path):
    buffer = pa.py_buffer(b"onecaf\xe9")
    offsets = pa.array([0, 3, 7], pa.int32()).buffers()[1]
    text = pa.StringArray.from_buffers(2, offsets, buffer)
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet, row 2: .*utf-8"):
        values(tmp_path / "a.parquet", ["text"])


def test_columns_of_a_parquet_file_that_are_missing_or_double(tmp_path):
    for names, message in ((["body", "a"], "has no column 'text'; .* body, a"), (["text"] * 2, "twice")):
        pq.write_table(pa.table([["one"], ["two"]], names=names), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=message):
            values(tmp_path / "a.parquet", ["text"])


def test_field_of_a_million_characters(write):
    path = write("a.csv", "text,label\n" + "x" * 1_000_000 + ",1\n")
    assert len(values(path, ["text"])[0][0]) == 1_000_000


def test_malformed_rows_are_skipped_where_asked(write):
    path, skipped = write("a.tsv", "text\tlabel\none\t0\nstray\ttab\t1\nshort\n\ntwo\t1\n\n"), Skipped()
    assert values(path, ["text"], bad=skipped) == [("one",), ("two",)]
    assert re.match(r"skipped 3 malformed rows; the first: .*row 2 \(line 3\)", str(skipped))
    with pytest.raises(DataError, match=r"a\.tsv: has no rows"):
        values(write("a.tsv", "text\tlabel\nshort\n"), ["text"], bad=Skipped())


def test_a_quote_within_a_field_costs_its_row_and_an_open_one_is_an_error(write):
    path, skipped = write("a.csv", 'text,label\none,0\n"a" b,1\n"two\nlines",1\n'), Skipped()
    assert values(path, ["text"], bad=skipped) == [("one",), ("two\nlines",)]
    assert "line 3: is not CSV" in str(skipped)
    with pytest.raises(DataError, match=r"line 2: is not CSV"):
        values(write("a.csv", 'text,label\n"one,0\ntwo,0\n'), ["text"], bad=Skipped())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.CSV", "a.csv.gz", "a.json"])
def test_a_byte_order_mark_names_the_encoding(write, name, encoding):
    text = '[{"text": "caf\u00e9"}]' if name == "a.json" else "text\ncaf\u00e9\n"
    content = text.encode(encoding)
    path = write(name, gzip.compress(content) if name.endswith("gz") else content)
    assert values(path, ["text"]) == [("caf\u00e9",)]


def test_array_of_objects(write, monkeypatch):
    rows = [{"text": "x" * size, "label": [{"]": size}]} for size in range(40)]
    for indent in (None, 1):
        path = write("a.json", f"\n {json.dumps(rows, indent=indent)}\n")
        assert [row.values for row in read_rows(path, ["text"])] == rows
        monkeypatch.setattr("powerbert.data.readers.PIECE", 7)
        assert [row.values for row in read_rows(path, ["text"])] == rows
    assert [row.place for row in read_rows(path, ["text"])][:2] == [
        f"{path}, row 1 (line 3)",
        f"{path}, row 2 (line 11)",
    ]


@pytest.mark.parametrize(
    ("name", "content", "delimiter", "quoted", "first"),
    [
        ("a.csv", "text;label\na,b;0\n", ";", True, "a,b"),
        ("a.csv", "text,label;x\na;b,0\n", ",", True, None),  # no delimiter gives both columns
        ("a.csv", 'text,label\n"a;b",0\n', ",", True, "a;b"),
        ("a.csv", "a;b,text,label\n1;2,one,0\n", ",", True, "one"),
        ("a.txt", "text|label\none|0\n", "|", True, "one"),
        ("a.tsv", 'text\tlabel\n"one"\t0\n', "\t", False, '"one"'),
        ("a.tsv", 'text\tlabel\n5" disk\t0\n"say ""so"""\t1\n', "\t", False, '5" disk'),
        ("a.tsv", 'text\tlabel\none\t0\n"say ""so"""\t1\n', "\t", True, "one"),
        ("a.tsv", 'text\tlabel\r\n"two\nlines"\t0\r\n', "\t", True, "two\nlines"),
        ("a.tsv", '"text"\t"label"\n"one"\t"0"\n', "\t", True, "one"),
        ("a.tsv", 'text\tlabel\n"open\t0\n', "\t", False, '"open'),
    ],
)
def test_form_is_found(write, name, content, delimiter, quoted, first):
    path = write(name, content)
    form = find_form(path, ["text", "label"])
    assert (form.delimiter, form.quoted) == (delimiter, quoted)
    if first is None:
        with pytest.raises(DataError, match="has no column"):
            values(path, ["text", "label"], form=form)
    else:
        assert values(path, ["text", "label"], form=form)[0][0] == first
