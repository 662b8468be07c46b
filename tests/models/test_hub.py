import threading
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from powerbert.base.errors import ModelError
from powerbert.models import checkpoint

BERT = "google-bert/bert-base-uncased"


@pytest.fixture
def client(monkeypatch):
    """Stands in for the hub's client: it answers, and downloads to /online or finds /cached."""
    client = SimpleNamespace(cached=Path("/cached"), online=Path("/online"), files=["model.safetensors"])
    client.model_info = lambda *args, **kwargs: SimpleNamespace(
        siblings=[SimpleNamespace(rfilename=name) for name in client.files]
    )

    def snapshot_download(repository, allow_patterns, local_files_only=False):
        client.patterns = allow_patterns
        folder = client.cached if local_files_only else client.online
        if isinstance(folder, Exception):
            raise folder
        return str(folder / repository)

    monkeypatch.setattr(checkpoint, "HfApi", lambda: client)
    monkeypatch.setattr(checkpoint, "snapshot_download", snapshot_download)
    return client


def fail(error):
    def function(*args, **kwargs):
        raise error

    return function


def test_takes_the_newest_when_the_hub_answers_and_an_earlier_download_when_it_does_not(client):
    assert checkpoint.hub_snapshot(BERT) == Path("/online") / BERT
    client.model_info = fail(ConnectionError("no route"))
    assert checkpoint.hub_snapshot(BERT) == Path("/cached") / BERT


def test_takes_no_pickled_file(client):
    client.files = ["model.safetensors", "pytorch_model.bin"]
    checkpoint.hub_snapshot(BERT)
    assert not any(fnmatch("pytorch_model.bin", pattern) for pattern in client.patterns)
    client.files = ["config.json", "pytorch_model.bin"]
    with pytest.raises(ModelError, match=rf"'{BERT}' has pickled weights .* then give model\.path="):
        checkpoint.hub_snapshot(BERT)


def test_says_what_runs_offline_when_there_is_neither(client):
    client.model_info = fail(ConnectionError("no route\nto host"))
    client.cached = LocalEntryNotFoundError("nothing")
    with pytest.raises(ModelError) as raised:
        checkpoint.hub_snapshot(BERT)
    for part in (BERT, "no route", "model.path=", "model=minilm_l6"):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_does_not_wait_for_a_hub_that_is_silent(client, monkeypatch):
    released = threading.Event()
    client.model_info = lambda *args, **kwargs: released.wait(60)
    client.cached = LocalEntryNotFoundError("nothing")
    monkeypatch.setattr(checkpoint, "PATIENCE", 0.05)
    with pytest.raises(ModelError, match=r"cannot be reached .no answer within 0\.05 seconds."):
        checkpoint.hub_snapshot(BERT)
    released.set()


def test_a_model_that_the_hub_does_not_have_and_a_download_that_breaks_off(client):
    client.online = OSError("disk full")
    with pytest.raises(ModelError, match=rf"'{BERT}' could not be downloaded .disk full."):
        checkpoint.hub_snapshot(BERT)
    response = SimpleNamespace(headers={}, request=None, status_code=404)
    client.model_info = fail(RepositoryNotFoundError("404", response=response))
    with pytest.raises(ModelError, match=rf"^model.path: the hub has no model '{BERT}'"):
        checkpoint.hub_snapshot(BERT)
