import json
import re
import subprocess

import pytest

from powerbert.base import environment
from powerbert.base.environment import describe_environment, git_commit


@pytest.fixture(autouse=True)
def _forget_commit():
    git_commit.cache_clear()
    yield
    git_commit.cache_clear()


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_names_versions_and_device():
    described = describe_environment("cpu")
    assert described["device"] == "cpu"
    assert re.match(r"\d+\.\d+", described["torch"])
    assert described["threads"] >= 1
    assert {"python", "transformers", "powerbert", "platform", "cpu", "git_commit"} <= described.keys()
    json.dumps(described, allow_nan=False)


def test_commit_of_the_checkout_and_its_changes(monkeypatch, tmp_path):
    module = tmp_path / "environment.py"
    module.write_text("a = 1\n")
    monkeypatch.setattr(environment, "__file__", str(module))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert git_commit() is None, "there is no commit yet"
    git(tmp_path, "commit", "-q", "-m", "first")
    git_commit.cache_clear()
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit() == commit
    module.write_text("a = 2\n")
    git_commit.cache_clear()
    assert git_commit() == f"{commit}-dirty"


def test_no_commit_where_another_projects_checkout_surrounds_an_installation(monkeypatch, tmp_path):
    (tmp_path / "theirs.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.setattr(environment, "__file__", str(installed / "environment.py"))
    assert git_commit() is None


def test_no_commit_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None
    assert describe_environment()["git_commit"] is None
