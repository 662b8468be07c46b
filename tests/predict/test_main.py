"""Labelling from the command line: what is printed or written, and which input it refuses."""

import json
import os
import shutil

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError, UserError
from powerbert.predict.__main__ import predict
from tests.forked import door

TRICKY = ['It\'s great, really! (not bad) {a: [1, 2]} = "quoted" ${x} \\ 100%', "", "the film", "grün 😀"]


def run(**values):
    """Runs the command with the values as they come out of the command line."""
    given = {key: str(value) if key in ("text", "text_pair") else value for key, value in values.items()}
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        predict(OmegaConf.merge(compose("predict"), given))


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_one_text_on_the_command_line(artifact, tmp_path):
    done = door(tmp_path, "powerbert.predict", f"artifact={artifact('sst2')}", f"text={TRICKY[0]}")
    assert done.wait() == 0, done.stderr
    (line,) = lines(done.stdout)
    assert line["sentence"] == TRICKY[0]
    assert line["label"] in ("negative", "positive")
    assert set(os.listdir(tmp_path)) == {"stdout", "stderr"}


def test_an_error_goes_to_standard_error_once(artifact, tmp_path):
    (tmp_path / "pairs.txt").write_text("one\ttwo\nthree\n")
    arguments = f"artifact={artifact('rte')}", "input=pairs.txt", "output=out/labels.jsonl"
    done = door(tmp_path, "powerbert.predict", *arguments)
    assert done.wait() == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: pairs.txt, row 2 (line 2): ")
    assert set(os.listdir(tmp_path)) == {"stdout", "stderr", "pairs.txt"}


def test_prints_what_it_would_write(artifact, tmp_path, capsys):
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"sentence": text, "id": 1}) + "\n" for text in TRICKY))
    run(artifact=artifact("sst2"), input=source)
    printed = capsys.readouterr().out
    run(artifact=artifact("sst2"), input=source, output=tmp_path / "labels.jsonl", batch_size=1)
    written = lines((tmp_path / "labels.jsonl").read_text(encoding="utf-8"))
    assert [line["sentence"] for line in written] == TRICKY
    for one, other in zip(lines(printed), written, strict=True):
        assert one["label"] == other["label"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.txt", 'a, "b"\n\n\'tis it\n'),
        ("texts.tsv", 'label\tsentence\n1\ta, "b"\n0\t\n1\t\'tis it\n'),
        ("texts.csv", 'sentence,id\n"a, ""b""",1\n,2\n\'tis it,3\n'),
    ],
)
def test_files_of_texts(artifact, tmp_path, capsys, name, content):
    (tmp_path / name).write_text(content)
    run(artifact=artifact("sst2"), input=tmp_path / name)
    printed = lines(capsys.readouterr().out)
    assert [line["sentence"] for line in printed] == ['a, "b"', "", "'tis it"]


def test_pairs(artifact, tmp_path, capsys):
    (tmp_path / "pairs.txt").write_text("the film\tis bad\n")
    for task, values in (("rte", {"label", "score", "scores"}), ("stsb", {"value"})):
        run(artifact=artifact(task), input=tmp_path / "pairs.txt")
        run(artifact=artifact(task), text="the film", text_pair="is bad")
        file, arguments = lines(capsys.readouterr().out)
        assert file == arguments
        assert set(file) == {"sentence1", "sentence2"} | values
        assert file["sentence2"] == "is bad"


def test_pairs_of_a_classifier_without_a_manifest(artifact, tmp_path, capsys):
    folder = shutil.copytree(artifact("rte"), tmp_path / "plain")
    (folder / "manifest.json").unlink()
    (tmp_path / "pairs.csv").write_text("text,text_pair\nthe film,is bad\n")
    run(artifact=folder, input=tmp_path / "pairs.csv")
    run(artifact=folder, text="the film", text_pair="is bad")
    file, arguments = lines(capsys.readouterr().out)
    assert file == arguments
    assert file["text_pair"] == "is bad"
    run(artifact=folder, text="the film")
    (one,) = lines(capsys.readouterr().out)
    assert one["scores"] != file["scores"]


def test_multiple_choice(artifact, tmp_path, capsys):
    row = {"article": "A story.", "choices": ["a", "b", "", "d"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    run(artifact=artifact("race"), input=tmp_path / "a.jsonl")
    (line,) = lines(capsys.readouterr().out)
    assert line["choices"] == row["choices"]
    assert set(line["scores"]) == {"A", "B", "C", "D"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "sentence\nfine\nstray\ttab\n", r"a\.tsv, row 2 \(line 3\): has 2 fields instead of 1"),
        ("a.csv", "text\nfine\n", r"a\.csv: has no column 'sentence'; its columns are text"),
        ("a.jsonl", '{"sentence": "fine"}\n{"sentence": 5}\n', r"a\.jsonl, row 2 .*'sentence' is of type"),
        ("a.jsonl", '{"sentence": ["a", "b"]}\n', r"row 1 \(line 1\): column 'sentence' is of type list"),
        ("a.jsonl", '{"sentence": "\\ud83d"}\n', r"row 1 \(line 1\): .* surrogate"),
        ("a.txt", "", r"a\.txt: is empty"),
        ("a.doc", "fine", r"a\.doc: unknown kind of file"),
    ],
)
def test_a_bad_file_is_one_message(artifact, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        run(artifact=artifact("sst2"), input=tmp_path / name, output=tmp_path / "labels.jsonl")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("choices", [["a", "b", "c"], "abcd", ["a", "b", "c", 4]])
def test_bad_choices_are_one_message(artifact, tmp_path, choices):
    (tmp_path / "a.jsonl").write_text(json.dumps({"article": "A story.", "choices": choices}) + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl, row 1 .*'choices' is .*it must be a"):
        run(artifact=artifact("race"), input=tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("sst2", {}, "text, input"),
        ("sst2", {"text": "a", "input": "a.txt"}, "text, input"),
        ("sst2", {"input": "a.txt", "text_pair": "b"}, "text_pair"),
        ("sst2", {"text": "a", "text_pair": "b"}, "text, text_pair: 'sst2' .*give text=$"),
        ("rte", {"text": "a"}, "text, text_pair: 'rte' .*give text= and text_pair="),
        ("race", {"text": "a", "text_pair": "b"}, "text, text_pair: 'race' .*input="),
        ("sst2", {"text": "a", "batch_size": 0}, "batch_size"),
        ("sst2", {"text": "a", "format": "xml"}, "format"),
        ("sst2", {"text": "a", "format": "glue", "output": "out"}, "format"),
        ("sst2", {"format": "glue"}, "output"),
        ("sst2", {"text": "a", "artifact": ""}, "artifact"),
        ("sst2", {"text": "a", "artifact": ["a", "b"]}, "artifact: give one folder"),
    ],
)
def test_an_invalid_setting_is_named(artifact, task, values, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        run(**({"artifact": artifact(task)} | values))


def test_a_missing_file_and_a_missing_model(artifact, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt: there is no such file"):
        run(artifact=artifact("sst2"), input=tmp_path / "nowhere.txt")
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        run(artifact=tmp_path / "nowhere", text="a")
