import json
import os
import subprocess
import sys
from importlib import import_module
from itertools import count

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

TEXTS = ["the film was very good and not at all boring", "It is too long."]
CHOICES = ["A story about a cat."] * 3, ["good", "the film was bad", "a cat"]
CLASSIFICATION, CHOICE = "sequence_classification", "multiple_choice"


def power(**fields):
    """Makes the power model of a saved host model."""
    return lambda folder, task: load_power_model(folder, task, **fields)


def pruned(folder, task):
    return prune_heads(load_host_model(folder, task), [[0, 2], [1], [0, 1, 2, 3]])


extracting = power(retention_configuration=[8, 5, 2])
order = [0, *range(63, 0, -1)]
CASES = {
    **{backbone: (backbone, CLASSIFICATION, extracting) for backbone in BACKBONES},
    "bert-searched": ("bert", CLASSIFICATION, power(soft_extract_length=64)),
    "bert-rand": (
        "bert",
        CLASSIFICATION,
        power(retention_configuration=[8, 5, 2], selection="rand", selection_order=order),
    ),
    "bert-pruned": ("bert", CLASSIFICATION, pruned),
    "bert-choice": ("bert", CHOICE, extracting),
    "albert-choice": ("albert", CHOICE, extracting),
}


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Saves a case's model with random weights as a run does, with its tokenizer; the folder."""
    checkpoints = tmp_path_factory.mktemp("checkpoints")

    def saved(name, root):
        backbone, task, make = CASES[name]
        checkpoint, folder = tiny(checkpoints / backbone, backbone=backbone), root / name
        torch.manual_seed(0)
        host = load_host_model(checkpoint, task, **({} if task == CHOICE else {"num_labels": 3}))
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


def logits(folder, task):
    """What powerbert's own classes and tokenizer give for the case's texts."""
    texts = CHOICES if task == CHOICE else [TEXTS]
    inputs = load_tokenizer(folder)(*texts, padding=True, return_tensors="pt")
    if task == CHOICE:
        inputs = {name: tensor.unsqueeze(0) for name, tensor in inputs.items()}
    with torch.inference_mode():
        return load_model(folder)(**inputs).logits


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def test_models_give_the_same_where_powerbert_is_not_installed(save, python_without_powerbert, tmp_path):
    models = tmp_path / "models"
    for name, (_, task, _) in CASES.items():
        case = {"auto": TASKS[task].__name__, "texts": CHOICES if task == CHOICE else [TEXTS]}
        (save(name, models) / "case.json").write_text(json.dumps(case))
    subprocess.run(
        [python_without_powerbert, "-I", outside.__file__, models],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"},
    )
    for name, (backbone, task, _) in CASES.items():
        outcome = json.loads((models / name / "outcome.json").read_text())
        expected = logits(models / name, task)
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
    assert modeling_code(backbone) == code
    assert code.startswith(f"# Generated from powerbert {powerbert.__version__};")
    file = tmp_path / "code.py"
    file.write_text(code)
    assert set(get_imports(file)) - sys.stdlib_module_names == {"huggingface_hub", "torch", "transformers"}
    assert not get_relative_imports(file)
    assert "derive_retention_configuration" not in code
    namespace = {"__name__": "generated"}
    exec(compile(code, "generated", "exec"), namespace)
    for reference in auto_map(backbone).values():
        assert namespace[reference.partition(".")[2]].__module__ == "generated"


def test_where_powerbert_is_installed_its_classes_are_used_and_no_saved_code_is_run(folder):
    (folder / "modeling_power_bert.py").write_text("raise RuntimeError('the saved code was run')\n")
    for trust in ({}, {"trust_remote_code": False}, {"trust_remote_code": True}):
        model = AutoModelForSequenceClassification.from_pretrained(folder, **trust)
        assert type(model) is BACKBONES["bert"].tasks[CLASSIFICATION]
        assert type(model.config) is BACKBONES["bert"].config
    assert type(AutoModel.from_pretrained(folder)) is BACKBONES["bert"].model
    assert type(load_model(folder)) is BACKBONES["bert"].tasks[CLASSIFICATION]
    assert len(Predictor(folder)(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize(
    "load",
    [
        load_model,
        load_host_model,
        load_power_model,
        AutoModelForSequenceClassification.from_pretrained,
        AutoModel.from_pretrained,
    ],
    ids=[
        "load_model",
        "load_host_model",
        "load_power_model",
        "AutoModelForSequenceClassification",
        "AutoModel",
    ],
)
def test_a_model_that_is_saved_once_more_does_not_name_code_that_is_not_there(folder, load, tmp_path):
    again = tmp_path / "again"
    model = load(folder)
    model.save_pretrained(again)
    assert "auto_map" not in config_of(again)
    code = save_modeling_code(model, again)
    host = load is load_host_model
    assert (code is None) is host
    assert ("auto_map" in config_of(again)) is not host


def test_config_keeps_everything_else(folder, save, tmp_path):
    before = config_of(tmp_path / "bert-host")
    config = config_of(folder)
    assert config.pop("auto_map") == auto_map(BACKBONES["bert"])
    assert config["retention_configuration"] == [8, 5, 2]
    assert config["id2label"] == before["id2label"]
    load_model(folder).save_pretrained(tmp_path / "again")
    assert config == config_of(tmp_path / "again")


def test_a_host_model_needs_no_code(tmp_path, tiny_checkpoint):
    model = load_host_model(tiny_checkpoint)
    model.save_pretrained(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert save_modeling_code(model, tmp_path) is None
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_model_that_was_not_saved_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match=r"config\.json: cannot be read .* save the model there first"):
        save_modeling_code(load_model(folder), tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


NUMBER = count()


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Makes a backbone of the class Main in a module of another package; its text follows that class's."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text):
        name = f"made_up_{next(NUMBER)}"
        (tmp_path / f"{name}.py").write_text(text)
        main = import_module(name).Main
        return Backbone(main, main, {})

    return make


def test_definitions_come_after_what_they_use_and_nothing_else_comes(made_up):
    code = modeling_code(
        made_up(
            "import math\nfrom collections import OrderedDict as Ordered\n"
            "from powerbert.models import PowerFields\n\n"
            "def mark(cls):\n    cls.area = math.floor(SIZE) * WIDTH\n    return cls\n\n"
            "# How many.\nSIZE = 3\nWIDTH: int = 4\nUNUSED = Ordered()\n\n"
            "@mark\nclass Main(PowerFields):\n    def parity(self, n):\n        return even(n)\n\n"
            "def even(n):\n    return n == 0 or odd(n - 1)\n\n"
            "def odd(n):\n    return n != 0 and even(n - 1)\n\n"
            "print('registered')\n"
        )
    )
    namespace = {"__name__": "generated"}
    exec(compile(code, "generated", "exec"), namespace)
    assert namespace["Main"].area == 12
    assert namespace["Main"]().parity(4)
    assert not {"UNUSED", "Ordered", "print", "import powerbert", "from powerbert"} & set(code.split())
    assert "print(" not in code
    assert code.index("class ConfigError") < code.index("class PowerFields") < code.index("class Main")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "from powerbert.models import PowerFields\ndef check_whole(): pass\n"
            "class Main(PowerFields):\n    uses = check_whole\n",
            "check_whole means something else",
        ),
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
        "from powerbert.models.backbones.bert import PowerBertConfig\n"
        "if True:\n    FIELDS = 1\n"
        "class Main(PowerBertConfig):\n    model_type = 'power_made_up'\n"
    )
    monkeypatch.setitem(BACKBONES, "made_up", backbone)
    model, before = load_model(folder), config_of(folder)
    model.config = backbone.config(**model.config.to_dict() | {"model_type": "power_made_up"})
    assert save_modeling_code(model, folder) is None
    assert "the statement in line 2 would be lost" in caplog.text
    assert config_of(folder) == before
