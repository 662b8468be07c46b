import os

import pytest

from powerbert.base.errors import ConfigError
from powerbert.base.output import whole_file


def test_a_file_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "new" / "labels.jsonl"
    with whole_file(path) as file:
        file.write("grün\n")
        assert not path.exists()
    assert path.read_bytes() == "grün\n".encode()
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_run_leaves_what_was_there(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text("before")

    def interrupted():
        with whole_file(path) as file:
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
    with whole_file(link) as file:
        file.write("text")
    assert link.is_symlink()
    assert target.read_text() == "text"


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(path) as file:
        file.write("text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize(("name", "problem"), [("", "is a folder"), ("file/below", "cannot be written to")])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name, problem):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"^output: {tmp_path}.*{problem}"), whole_file(tmp_path / name):
        pass
