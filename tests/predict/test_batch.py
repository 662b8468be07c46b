"""Files of any size: formats in and out, ids, what continues after a kill, and how many rows are held."""

import gzip
import json
import os
import signal
import time
import weakref

import pandas as pd
import pyarrow.parquet as pq
import pytest

from powerbert.base.errors import ConfigError, DataError
from powerbert.predict import Predictor
from powerbert.predict.batch import Labeller, labelled, write_labels
from powerbert.predict.inputs import Inputs
from powerbert.store.artifacts import locked
from tests.forked import door
from tests.predict.test_main import TRICKY, lines, run

SETTINGS = {"cls_alone": False, "speed": None, "batch_size": 8}
ROWS = 5000
"""Five chunks."""


def texts(rows):
    words = ["good", "bad", "the film", "dull", "is it a long film, and not good at all?"]
    return [{"number": n, "sentence": " ".join(words[n % 5 :] * (1 + n % 3))} for n in range(rows)]


def write(path, rows):
    """Writes rows in the format of the suffix."""
    frame, name = pd.DataFrame(rows), path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith((".jsonl", ".json")):
        content = "\n".join(json.dumps(row) for row in rows) if "jsonl" in name else json.dumps(rows)
        (gzip.open if path.suffix == ".gz" else open)(path, "wt").write(content)
    elif name.endswith(".txt"):
        path.write_text("".join(f"{row['sentence']}\n" for row in rows), encoding="utf-8")
    else:
        frame.to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    return path


def read(path):
    """Reads an output as flat rows, with missing values as None."""
    if path.suffix == ".jsonl":
        return lines(path.read_text(encoding="utf-8"))
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"number": str})
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.csv", "a.csv.gz", "a.tsv", "a.parquet"]
)
def test_every_format_in_and_out(artifact, tmp_path, name):
    source = write(tmp_path / name, [{"number": n, "sentence": text} for n, text in enumerate(TRICKY)])
    for suffix in ("jsonl", "csv", "parquet"):
        output = tmp_path / f"labels.{suffix}"
        run(artifact=artifact("sst2"), input=source, output=output, id_column="number")
        found = read(output)
        assert [row["sentence"] or "" for row in found] == TRICKY
        assert [str(row["number"]) for row in found] == ["0", "1", "2", "3"]
        scores = {"scores"} if suffix == "jsonl" else {"score_negative", "score_positive"}
        assert set(found[0]) == {"number", "sentence", "label", "score"} | scores
        assert [row["score"] >= 0.5 for row in found] == [True] * 4
    assert sorted(os.listdir(tmp_path)) == sorted([name, "labels.csv", "labels.jsonl", "labels.parquet"])


def test_ids_stay_as_they_are(artifact, tmp_path):
    (tmp_path / "a.csv").write_text("shop,number,sentence\nx,007,good\ny,,bad\n")
    run(
        artifact=artifact("sst2"),
        input=tmp_path / "a.csv",
        id_column=["shop", "number"],
        output=tmp_path / "a.jsonl",
    )
    assert [(row["shop"], row["number"]) for row in read(tmp_path / "a.jsonl")] == [("x", "007"), ("y", "")]
    for ids, expected in (([1, 2], [1, 2]), ([1, "b"], ["1", "b"]), ([None, 2**70], [None, str(2**70)])):
        write(tmp_path / "b.jsonl", [{"number": one, "sentence": "good"} for one in ids])
        run(
            artifact=artifact("sst2"),
            input=tmp_path / "b.jsonl",
            id_column="number",
            output=tmp_path / "b.parquet",
        )
        assert pq.read_table(tmp_path / "b.parquet")["number"].to_pylist() == expected


def test_settings_of_files_and_columns(artifact, tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes("7|grün\n8|a film\n".encode("cp1252"))
    (tmp_path / "b.csv").write_text("nr;body\n7;grün\n8;a film\n", encoding="utf-8")
    form = {"header": ["nr", "body"], "delimiter": "pipe", "encoding": "cp1252"}
    for name, settings in (("a.txt", form), ("b.csv", {})):
        run(
            artifact=artifact("sst2"),
            input=tmp_path / name,
            text_columns=["body"],
            id_column="nr",
            **settings,
        )
        found = lines(capsys.readouterr().out)
        assert [(row["nr"], row["body"]) for row in found] == [("7", "grün"), ("8", "a film")]


def test_shards_of_a_folder_and_files_of_a_pattern(artifact, tmp_path, capsys):
    rows = texts(6)
    for number in range(2):
        write(tmp_path / f"train-0000{number}-of-00002.parquet", rows[3 * number : 3 * number + 3])
    for place in (tmp_path, tmp_path / "*.parquet"):
        run(artifact=artifact("sst2"), input=place)
        assert [row["sentence"] for row in lines(capsys.readouterr().out)] == [
            row["sentence"] for row in rows
        ]
    (tmp_path / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(DataError, match="1 of its 2 shards are missing"):
        Inputs(tmp_path)
    with pytest.raises(DataError, match="no file matches"):
        Inputs(tmp_path / "*.csv")
    write(tmp_path / "other.csv", rows)
    (tmp_path / "train-00001-of-00002.parquet").rename(tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"other\.csv, train\.parquet"):
        Inputs(tmp_path)


def test_a_killed_run_continues(artifact, tmp_path):
    write(tmp_path / "a.jsonl", texts(ROWS))
    arguments = [f"artifact={artifact('sst2')}", "input=a.jsonl", "batch_size=8", "id_column=number"]
    whole = door(tmp_path, "powerbert.predict", *arguments, "output=whole.csv")
    assert whole.wait() == 0, whole.stderr
    killed = door(tmp_path, "powerbert.predict", *arguments, "output=labels.csv")
    partial = tmp_path / "labels.csv.partial"
    while len(list(partial.glob("*.jsonl"))) < 2:
        assert killed.process.is_alive(), killed.stderr
        time.sleep(0.002)
    os.kill(killed.process.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "labels.csv").exists()
    again = door(tmp_path, "powerbert.predict", *arguments, "output=labels.csv")
    assert again.wait() == 0, again.stderr
    assert "continuing after row" in again.stderr
    assert (tmp_path / "labels.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not partial.exists()


def test_a_reader_that_has_enough_ends_the_printing(artifact, tmp_path):
    write(tmp_path / "a.jsonl", texts(ROWS))
    os.mkfifo(tmp_path / "stdout")  # `door` opens it as the command's standard output
    command = door(tmp_path, "powerbert.predict", f"artifact={artifact('sst2')}", "input=a.jsonl")
    with (tmp_path / "stdout").open() as pipe:
        assert "label" in json.loads(pipe.readline())
    assert command.wait() == 0
    assert "Traceback" not in command.stderr


def test_another_process_on_the_same_output_is_refused(artifact, tmp_path):
    write(tmp_path / "a.jsonl", texts(3))
    (tmp_path / "labels.csv.partial").mkdir()
    with locked(tmp_path / "labels.csv.partial" / "run"):
        arguments = f"artifact={artifact('sst2')}", "input=a.jsonl", "output=labels.csv"
        refused = door(tmp_path, "powerbert.predict", *arguments)
        assert refused.wait() == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: output: another process")


@pytest.fixture
def labeller(artifact):
    return Labeller(Predictor(artifact("sst2"), 8), ("sentence",), ("number",))


def test_finished_chunks_are_taken_over_if_nothing_changed(labeller, tmp_path, caplog):
    caplog.set_level("INFO")
    output, partial, rows = tmp_path / "labels.jsonl", tmp_path / "labels.jsonl.partial", texts(ROWS)

    def bad_at(number):
        yield from rows[:number]
        raise DataError("a.csv, row 3001: is bad")

    def attempt(number, settings=SETTINGS):
        caplog.clear()
        with pytest.raises(DataError, match="row 3001"):
            write_labels(labeller, bad_at(number), output, settings)
        return {path.name: path.stat().st_mtime_ns for path in partial.glob("*.jsonl")}

    first = attempt(3000)
    assert len(first) == 2
    assert attempt(3000) == first
    assert attempt(10) == first, "an attempt that comes to no chunk leaves them"
    assert len(attempt(3000, SETTINGS | {"speed": 2.0})) == 4
    assert "starting again" in caplog.text
    caplog.clear()
    write_labels(labeller, rows, output, SETTINGS)
    assert "continuing after row 2048" in caplog.text
    assert [row["number"] for row in read(output)] == list(range(ROWS))
    assert not partial.exists()


def test_a_constant_number_of_rows_is_held(labeller):
    class Held(dict):
        __hash__ = object.__hash__

    alive, most = weakref.WeakSet(), 0

    def rows(count):
        nonlocal most
        for row in texts(count):
            held = Held(row)
            alive.add(held)
            most = max(most, len(alive))
            yield held

    held = []
    for count in (3 * 1024, 6 * 1024):
        most = 0
        assert sum(1 for _ in labelled(labeller, rows(count))) == count
        held.append(most)
    assert held[0] == held[1] <= 2 * 1024 + 1


def test_a_bad_row_is_named_before_the_first_label(artifact, tmp_path):
    rows = [*texts(10), {"number": 10, "sentence": 5}]
    source = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"a\.jsonl, row 11 \(line 11\): column 'sentence'"):
        run(artifact=artifact("sst2"), input=source, output=tmp_path / "labels.csv")
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output": "labels.xlsx"}, "^output: labels.xlsx must end in one of .jsonl, .csv, .parquet"),
        ({"output": "a.csv"}, "^output: a.csv is a file of input"),
        ({"id_column": "nr"}, "a.csv: has no column 'nr'; its columns are label, sentence"),
        ({"text_columns": ["a", "b"]}, r"^text_columns: a, b: 'sst2' takes 1 column \(sentence\)"),
        ({"id_column": "label"}, "^id_column: 'label' is a column of the predictions"),
        ({"delimiter": "word"}, "^delimiter: 'word' must be one character"),
        ({"encoding": "utf-9"}, "^encoding: 'utf-9' is unknown"),
        ({"input": None, "text": "a", "header": ["b"]}, "^header: needs input="),
    ],
)
def test_what_is_refused(artifact, tmp_path, monkeypatch, values, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("label,sentence\n1,good\n")
    with pytest.raises((ConfigError, DataError), match=message):
        run(**({"artifact": artifact("sst2"), "input": "a.csv", "output": "labels.csv"} | values))
    assert os.listdir(tmp_path) == ["a.csv"]
