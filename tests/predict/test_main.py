"""Labelling from the command line: what is printed or written, and every way in which it is refused."""

import json
import os
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError, UserError
from powerbert.predict.__main__ import predict
from tests.untrained import dataset_settings, untrained_artifact

TRICKY = ['It\'s great, really! (not bad) {a: [1, 2]} = "quoted" ${x} \\ 100%', "", "the film", "grün 😀"]


@pytest.fixture(scope="module")
def artifact(tiny_checkpoint, tokenizer, tmp_path_factory):
    root = tmp_path_factory.mktemp("artifacts")

    def make(name):
        return untrained_artifact(root, tiny_checkpoint, tokenizer, dataset_settings(name, root / "cache"))

    return make


def run(**values):
    """Runs the command with the values as they come out of the command line."""
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        cfg = compose("predict")
    predict(OmegaConf.merge(cfg, {key: str(v) if key != "batch_size" else v for key, v in values.items()}))


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "powerbert.predict", *arguments], capture_output=True, text=True, cwd=cwd
    )


def test_one_text_on_the_command_line(artifact, tmp_path):
    done = command(f"artifact={artifact('sst2')}", f"text={TRICKY[0]}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = lines(done.stdout)
    assert line["sentence"] == TRICKY[0]
    assert line["label"] in ("negative", "positive")
    assert os.listdir(tmp_path) == []


def test_an_error_goes_to_standard_error_once(artifact, tmp_path):
    (tmp_path / "pairs.txt").write_text("one\ttwo\nthree\n")
    done = command(f"artifact={artifact('rte')}", "input=pairs.txt", "output=out/labels.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr == "error: pairs.txt, row 2 (line 2): has 1 fields instead of 2 (sentence1, sentence2)\n"
    )
    assert os.listdir(tmp_path) == ["pairs.txt"]


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
    run(artifact=artifact("rte"), input=tmp_path / "pairs.txt")
    run(artifact=artifact("rte"), text="the film", text_pair="is bad")
    file, arguments = capsys.readouterr().out.splitlines()
    assert file == arguments
    assert lines(file)[0]["sentence2"] == "is bad"


def test_regression(artifact, capsys):
    run(artifact=artifact("stsb"), text="a", text_pair="b")
    (line,) = lines(capsys.readouterr().out)
    assert set(line) == {"sentence1", "sentence2", "value"}


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
        (
            "a.jsonl",
            '{"sentence": "fine"}\n{"sentence": 5}\n',
            r"a\.jsonl, row 2 .*'sentence' is of type int",
        ),
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


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["a", "b", "c"], "column 'choices' is 3 texts; it must be a list of 4 texts"),
        ("abcd", "column 'choices' is of type str; it must be a list of 4 texts"),
        (["a", "b", "c", 4], "column 'choices' is of type int; it must be a text"),
    ],
)
def test_bad_choices_are_one_message(artifact, tmp_path, choices, message):
    (tmp_path / "a.jsonl").write_text(json.dumps({"article": "A story.", "choices": choices}) + "\n")
    with pytest.raises(DataError, match=message):
        run(artifact=artifact("race"), input=tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("sst2", {}, "text, input: give one of them"),
        ("sst2", {"text": "a", "input": "a.txt"}, "text, input: give one of them"),
        ("sst2", {"input": "a.txt", "text_pair": "b"}, "text_pair: needs text="),
        ("sst2", {"text": "a", "text_pair": "b"}, "text_pair: 'sst2' takes one text"),
        ("rte", {"text": "a"}, "text_pair: 'rte' takes two texts"),
        ("race", {"text": "a", "text_pair": "b"}, r"text: 'race' is multiple choice; give input="),
        ("sst2", {"text": "a", "batch_size": 0}, "batch_size: 0 must be a whole number"),
        ("sst2", {"text": "a", "format": "xml"}, "format: 'xml' is unknown"),
        (
            "sst2",
            {"text": "a", "format": "glue", "output": "out"},
            r"format: glue predicts .* remove text=",
        ),
        ("sst2", {"format": "glue"}, "output: .* give output=<folder>"),
        ("sst2", {"text": "a", "artifact": ""}, "artifact: give the folder of a trained model"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(artifact, task, values, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        run(**({"artifact": artifact(task)} | values))


def test_a_list_of_artifacts_is_for_glue():
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        cfg = compose("predict", overrides=["artifact=[a,b]", "text=x"])
    with pytest.raises(ConfigError, match=r"^artifact: give one folder"):
        predict(cfg)


def test_a_missing_file_and_a_missing_model(artifact, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt: there is no such file"):
        run(artifact=artifact("sst2"), input=tmp_path / "nowhere.txt")
    with pytest.raises(UserError, match="nowhere does not exist"):
        run(artifact=tmp_path / "nowhere", text="a")
