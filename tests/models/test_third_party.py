"""A backbone in a file of another package."""

import re
import sys

import pytest
import torch

from powerbert.base.errors import ModelError
from powerbert.models import BACKBONES, load_host_model, load_model, load_power_model, longest_input
from powerbert.models.backbone import find_backbone
from powerbert.models.tiny import tiny
from powerbert.ship import modeling_code

from .batches import padded, ragged_inputs

TOY = """
from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from powerbert.models import Backbone, PowerFields, PowerModelMixin, PowerTaskMixin, register_backbone
from powerbert.models.backbones.bert import bert_encoder

# The host as its authors publish it: a BERT with three positions that no word has.

@strict
class ToyConfig(BertConfig):
    model_type = "toy"

class ToyModel(BertModel):
    config_class = ToyConfig

class ToyForSequenceClassification(BertForSequenceClassification):
    config_class = ToyConfig

AutoConfig.register("toy", ToyConfig, exist_ok=True)
AutoModel.register(ToyConfig, ToyModel)
AutoModelForSequenceClassification.register(ToyConfig, ToyForSequenceClassification)
AutoTokenizer.register(ToyConfig, BertTokenizer)

# The backbone.

@strict
class PowerToyConfig(PowerFields, ToyConfig):
    model_type = "power_toy"

    def longest_input(self):
        return self.max_position_embeddings - 3

class PowerToyModel(PowerModelMixin, ToyModel):
    config_class = PowerToyConfig
    host_encoder = staticmethod(bert_encoder)

class PowerToyForSequenceClassification(PowerTaskMixin, ToyForSequenceClassification):
    config_class = PowerToyConfig
    base_class = PowerToyModel

    def classify(self, cls):
        return self.classifier(self.dropout(self.bert.pooler(cls)))

register_backbone(
    Backbone(
        config=PowerToyConfig,
        model=PowerToyModel,
        tasks={"sequence_classification": PowerToyForSequenceClassification},
        tiny={"max_position_embeddings": 515},
    )
)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of installed packages: one names its backbone as an entry point, another's is broken."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "toy_backbone.py").write_text(TOY)
    for name, module in (("toy", "toy_backbone"), ("broken", "no_such_module")):
        metadata = folder / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[powerbert.backbones]\n{name} = {module}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    BACKBONES.pop("toy", None)


@pytest.fixture(scope="module")
def finetuned(site, tmp_path_factory):
    """Folder of a host of the backbone with three classes."""
    folder = tmp_path_factory.mktemp("toy")
    checkpoint = tiny(folder / "checkpoint", backbone="toy")
    load_host_model(checkpoint, num_labels=3).save_pretrained(folder / "finetuned")
    return folder / "finetuned"


def test_it_equals_its_host_at_full_retention(finetuned, side):
    host = load_model(finetuned)
    model = load_power_model(finetuned, retention_configuration=[12, 12, 12])
    logits = host(**padded(ragged_inputs())).logits
    torch.testing.assert_close(model(**padded(ragged_inputs(), side=side)).logits, logits, atol=1e-5, rtol=0)
    assert longest_input(host.config) == longest_input(model.config) == 512


def test_its_saved_models_load_where_it_has_not_been_imported(finetuned, tmp_path, monkeypatch):
    load_power_model(finetuned, retention_configuration=[8, 5, 2]).save_pretrained(tmp_path)
    monkeypatch.delitem(BACKBONES, "toy")
    monkeypatch.delitem(sys.modules, "toy_backbone")
    model = load_model(tmp_path)
    assert type(model) is BACKBONES["toy"].tasks["sequence_classification"]
    assert type(model) is sys.modules["toy_backbone"].PowerToyForSequenceClassification


def test_its_modeling_code_needs_neither_package(finetuned):
    model, batch = load_power_model(finetuned, retention_configuration=[8, 5, 2]), padded(ragged_inputs())
    code = modeling_code(find_backbone("toy"))
    assert not re.search(r"^\s*(import|from) (powerbert|toy_backbone)", code, re.MULTILINE)
    names = {"__name__": "generated"}
    exec(compile(code, "generated", "exec"), names)
    config = names["PowerToyConfig"](**model.config.to_dict())
    copy = names["PowerToyForSequenceClassification"](config).eval()
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy(**batch).logits, model(**batch).logits)


def test_an_entry_point_that_cannot_be_imported_is_named(site):
    with pytest.raises(ModelError, match=r"'broken' .* no_such_module"):
        find_backbone("power_broken")
