import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from powerbert.base.errors import ConfigError
from powerbert.base.files import content_hash, file_name, output_file, plain, write_synced, write_whole


def test_writes_strict_json(tmp_path):
    path = tmp_path / "a.json"
    value = {
        "nan": float("nan"),
        "inf": [float("inf")],
        "path": Path("a/b"),
        3: (1, np.int64(2), torch.tensor(0.5)),
    }
    write_synced(path, value)
    assert "NaN" not in path.read_text()
    assert json.loads(path.read_text()) == {"nan": None, "inf": [None], "path": "a/b", "3": [1, 2, 0.5]}


def test_takes_configuration_nodes():
    assert plain(OmegaConf.create({"a": [1, {"b": 2.5}]})) == {"a": [1, {"b": 2.5}]}


@pytest.mark.parametrize("value", [torch.zeros(2), {1, 2}, b"bytes", object()])
def test_refuses_what_json_cannot_hold(value):
    with pytest.raises(TypeError, match=f"a {type(value).__name__} cannot"):
        plain({"a": [value]})


def test_hash_depends_on_content_alone():
    value = {"a": 1, "b": {"c": [1, 2], "d": None}}
    assert content_hash(value) == content_hash({"b": {"d": None, "c": (1, 2)}, "a": 1})
    others = [{"a": 2, "b": value["b"]}, {"a": 1}, {"a": 1, "b": {"c": [2, 1], "d": None}}, {**value, "e": 0}]
    assert len({content_hash(other) for other in [value, *others]}) == 1 + len(others)
    assert content_hash({}) == "44136fa355b3678a"  # the first half of 8 bytes of sha256 of "{}"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("rte", "bert_base"), "rte-bert_base"),
        (("../../etc/passwd",), "_.._etc_passwd"),
        (("a/b", "c\\d", "lambda=0.001"), "a_b-c_d-lambda=0.001"),
        (("rte-tiny", "--force", "1e-05"), "rte-tiny-force-1e-05"),
        ((".hidden", "", "\0\n"), "hidden-_-__"),
        (("x" * 99,), "x" * 48),
    ],
)
def test_file_names_never_become_paths(parts, expected):
    assert file_name(*parts) == expected


@pytest.mark.parametrize(("mode", "content"), [("w", "é\n"), ("wb", b"\xff\r\n")])
def test_a_file_is_replaced_whole_or_left_alone(tmp_path, mode, content):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(TypeError), write_whole(path, mode) as file:
        file.write(None)
    assert path.read_text() == "before"
    with write_whole(path, mode) as file:
        file.write(content)
    assert path.read_bytes() == (content if mode == "wb" else content.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "new" / "labels.jsonl"
    with output_file(path) as file:
        file.write("grün\n")
        assert not path.exists()
    assert path.read_bytes() == "grün\n".encode()
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_run_leaves_what_was_there(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text("before")

    def interrupted():
        with output_file(path) as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == [path.name]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    with output_file(link) as file:
        file.write("text")
    assert link.is_symlink()
    assert target.read_text() == "text"


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with output_file(path) as file:
        file.write("text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize(("name", "problem"), [("", "is a folder"), ("file/below", "cannot be written to")])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name, problem):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"^output: {tmp_path}.*{problem}"), output_file(tmp_path / name):
        pass
