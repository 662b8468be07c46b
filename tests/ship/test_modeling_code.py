import json
import os
import re
import subprocess
import sys
import sysconfig
from functools import partial
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification
from transformers.dynamic_module_utils import get_imports, get_relative_imports

import powerbert
from powerbert.base.errors import ModelError
from powerbert.models import load_host_model, load_model, load_power_model, load_tokenizer, prune_heads
from powerbert.models.backbone import BACKBONES, TASKS, Backbone
from powerbert.models.tiny import tiny
from powerbert.predict.predictor import Predictor
from powerbert.ship import modeling_code, save_modeling_code
from powerbert.ship.modeling_code import auto_map
from tests.ship import outside

CLASSIFICATION, CHOICE = "sequence_classification", "multiple_choice"
TEXTS = ["the film was very good and not at all boring", "It is too long."]
TEXTS_OF = {
    CLASSIFICATION: [TEXTS],
    CHOICE: [["A story about a cat."] * 3, ["good", "the film was bad", "a cat"]],
}


def pruned(folder, task):
    return prune_heads(load_host_model(folder, task), [[0, 2], [1], [0, 1, 2, 3]])


extracting = partial(load_power_model, retention_configuration=[8, 8, 2])


def labelling(folder, task):
    model = extracting(folder, task)
    model.config.problem_type = "multi_label_classification"
    model.config.label_thresholds = [0.4, 0.5, 0.6]
    return model


thresholds = partial(load_power_model, retention_thresholds=[0.03, 0.05, 0.05])
at_random = partial(extracting, selection="rand", selection_order=[0, *range(63, 0, -1)])
CASES = {
    **{backbone: (backbone, CLASSIFICATION, extracting) for backbone in BACKBONES},
    "bert-searched": ("bert", CLASSIFICATION, partial(load_power_model, soft_extract_length=64)),
    "bert-shares": (
        "bert",
        CLASSIFICATION,
        partial(load_power_model, retention_shares=[0.8, 0.4, 0.0], cls_alone=True),
    ),
    "roberta-alone": ("roberta", CLASSIFICATION, partial(load_power_model, cls_alone=True)),
    "bert-bins": ("bert", CLASSIFICATION, partial(load_power_model, soft_extract_bins=6)),
    "bert-thresholds": ("bert", CLASSIFICATION, thresholds),
    "bert-first-text": ("bert", CLASSIFICATION, partial(extracting, protected_until=3)),
    "bert-rand": ("bert", CLASSIFICATION, at_random),
    "bert-labels": ("bert", CLASSIFICATION, labelling),
    "bert-pruned": ("bert", CLASSIFICATION, pruned),
    "bert-choice": ("bert", CHOICE, extracting),
    "albert-choice": ("albert", CHOICE, extracting),
}


@pytest.fixture
def packages(tmp_path):
    """A folder with every installed package but powerbert."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for installed in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(installed).iterdir():
            if "powerbert" not in entry.name:
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Saves a case's model with random weights as a run does, with its tokenizer; the folder."""
    checkpoints = tmp_path_factory.mktemp("checkpoints")

    def saved(name, root):
        backbone, task, make = CASES[name]
        checkpoint, folder = tiny(checkpoints / backbone, backbone=backbone), root / name
        torch.manual_seed(0)
        host = load_host_model(checkpoint, task, num_labels=1 if task == CHOICE else 3)
        host.save_pretrained(root / f"{name}-host")
        model = make(root / f"{name}-host", task)
        model.save_pretrained(folder)
        load_tokenizer(checkpoint).save_pretrained(folder)
        save_modeling_code(model, folder)
        return folder

    return saved


@pytest.fixture
def folder(save, tmp_path):
    """A BERT with extract layers."""
    return save("bert", tmp_path)


def run(code):
    """The names that the code defines."""
    names = {"__name__": "generated"}
    exec(compile(code, "generated", "exec"), names)
    return names


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def test_models_give_the_same_where_powerbert_is_not_installed(save, packages, tmp_path):
    models = tmp_path / "models"
    for name in CASES:
        save(name, models)
    cases = {name: [TASKS[task].__name__, TEXTS_OF[task]] for name, (_, task, _) in CASES.items()}
    (models / "cases.json").write_text(json.dumps(cases))
    # -S leaves out the packages beside this Python, -P the folder of the script.
    command = [sys.executable, "-S", "-P", outside.__file__, models]
    places = {"PYTHONPATH": str(packages), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    subprocess.run(command, check=True, cwd=tmp_path, env=os.environ | places | {"HF_HUB_OFFLINE": "1"})
    outcomes = json.loads((models / "outcomes.json").read_text())
    for name, (backbone, task, _) in CASES.items():
        outcome = outcomes[name]
        inputs = load_tokenizer(models / name)(*TEXTS_OF[task], padding=True, return_tensors="pt")
        if task == CHOICE:
            inputs = {key: tensor.unsqueeze(0) for key, tensor in inputs.items()}
        with torch.inference_mode():
            expected = load_model(models / name)(**inputs).logits
        assert outcome["module"].startswith("transformers_modules."), name
        assert outcome["config"] == BACKBONES[backbone].config.__name__
        assert outcome["base"] == BACKBONES[backbone].model.__name__
        for key in ("logits", "saved again"):
            torch.testing.assert_close(torch.tensor(outcome[key]), expected, msg=f"{key} of {name}")
        if task == CLASSIFICATION:
            scores = [{one["label"]: one["score"] for one in text} for text in outcome["pipeline"]]
            for got, prediction in zip(scores, Predictor(models / name)(TEXTS), strict=True):
                assert got == pytest.approx(prediction["scores"], abs=1e-5), name


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_the_code_is_whole_and_holds_only_what_is_needed(backbone, tmp_path):
    code = modeling_code(backbone)
    assert code.startswith(f"# Generated from powerbert {powerbert.__version__};")
    file = tmp_path / "code.py"
    file.write_text(code)
    assert set(get_imports(file)) - sys.stdlib_module_names == {"huggingface_hub", "torch", "transformers"}
    assert not get_relative_imports(file)
    assert "derive_retention_configuration" not in code
    names = run(code)
    for reference in auto_map(backbone).values():
        assert names[reference.partition(".")[2]].__module__ == "generated"


def test_where_powerbert_is_installed_its_classes_are_used_and_no_saved_code_is_run(folder):
    (folder / "modeling_power_bert.py").write_text("raise RuntimeError('the saved code was run')\n")
    bert = BACKBONES["bert"]
    for trust in ({}, {"trust_remote_code": False}, {"trust_remote_code": True}):
        model = AutoModelForSequenceClassification.from_pretrained(folder, **trust)
        assert (type(model), type(model.config)) == (bert.tasks[CLASSIFICATION], bert.config)
    assert type(AutoModel.from_pretrained(folder)) is bert.model
    assert len(Predictor(folder)(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize(
    "load",
    [load_model, load_host_model, load_power_model, AutoModelForSequenceClassification.from_pretrained],
)
def test_a_model_that_is_saved_once_more_names_code_that_is_there(folder, load, tmp_path):
    again = tmp_path / "again"
    model = load(folder)
    model.save_pretrained(again)
    is_host = load is load_host_model
    assert ("auto_map" in config_of(again)) is not is_host
    assert any(again.glob("modeling_*.py")) is not is_host


def test_config_keeps_everything_else(folder, tmp_path):
    config = config_of(folder)
    assert config.pop("auto_map") == auto_map(BACKBONES["bert"])
    assert config["retention_configuration"] == [8, 8, 2]
    assert config["id2label"] == config_of(tmp_path / "bert-host")["id2label"]
    load_model(folder).save_pretrained(tmp_path / "again")
    again = config_of(tmp_path / "again")
    assert again.pop("auto_map") == auto_map(BACKBONES["bert"])
    assert config == again


def test_a_host_needs_no_code_and_an_unsaved_model_is_refused(folder, tiny_checkpoint, tmp_path):
    host = tmp_path / "host"
    load_host_model(tiny_checkpoint).save_pretrained(host)
    files = {path.name: path.read_bytes() for path in host.iterdir()}
    assert save_modeling_code(load_model(host), host) is None
    assert {path.name: path.read_bytes() for path in host.iterdir()} == files
    with pytest.raises(ModelError, match=r"config\.json: cannot be read .* save the model there first"):
        save_modeling_code(load_model(folder), tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Makes a backbone of the class Main in a module of another package; its text follows that class's."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text):
        name = f"made_up_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(text)
        main = import_module(name).Main
        return Backbone(main, main, {})

    return make


FIELDS = "from powerbert.models import PowerFields\n"


def test_definitions_come_after_what_they_use_and_nothing_else_comes(made_up):
    code = modeling_code(
        made_up(
            f"{FIELDS}import math\nfrom collections import OrderedDict as Ordered\n"
            "def mark(cls):\n    cls.area = math.floor(SIZE) * WIDTH\n    return cls\n\n"
            "# How many.\nSIZE = 3\nWIDTH: int = 4\nUNUSED = Ordered()\n\n"
            "@mark\nclass Main(PowerFields):\n    def parity(self, n):\n        return even(n)\n\n"
            "def even(n):\n    return n == 0 or odd(n - 1)\n\n"
            "def odd(n):\n    return n != 0 and even(n - 1)\n\n"
            "print('registered')\n"
        )
    )
    main = run(code)["Main"]
    assert main.area == 12
    assert main().parity(4)
    assert not re.search(r"UNUSED|Ordered|print\(|^(import|from) powerbert", code, re.MULTILINE)
    assert code.index("class ConfigError") < code.index("class PowerFields") < code.index("class Main")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{FIELDS}def check_whole(): pass\nclass Main(PowerFields): f = check_whole", "check_whole means"),
        ("from powerbert.models import PowerFields as Fields\nclass Main(Fields): pass", "original name"),
        ("if True:\n    FIELDS = 1\nclass Main: pass", "the statement in line 1 would be lost"),
        ("def more(): pass\ndef more(): return 1\nclass Main: pass", "in line 2 would be lost"),
        ("class Main:\n    def f(self):\n        from powerbert.models import embed", "at the top"),
    ],
)
def test_what_would_be_lost_is_refused(made_up, text, message):
    with pytest.raises(ValueError, match=message):
        modeling_code(made_up(text))


def test_where_no_code_can_be_written_a_run_is_told_so_and_not_stopped(folder, made_up, monkeypatch, caplog):
    backbone = made_up(
        "from powerbert.models.backbones.bert import PowerBertConfig\nif True:\n    FIELDS = 1\n"
        "class Main(PowerBertConfig):\n    model_type = 'power_made_up'\n"
    )
    monkeypatch.setitem(BACKBONES, "made_up", backbone)
    model, before = load_model(folder), config_of(folder)
    model.config = backbone.config(**model.config.to_dict() | {"model_type": "power_made_up"})
    assert save_modeling_code(model, folder) is None
    assert "the statement in line 2 would be lost" in caplog.text
    assert config_of(folder) == before
