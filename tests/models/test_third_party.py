"""A backbone of another package, in a file that powerbert does not know."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from powerbert.base.errors import ModelError
from powerbert.models import BACKBONES, load_config, load_host_model, load_model, load_power_model
from powerbert.models.backbone import find_backbone
from powerbert.models.checkpoint import resolve
from powerbert.models.tiny import tiny

from .batches import padded, ragged_inputs

TOY = '''
from huggingface_hub.dataclasses import strict
from transformers import (
    AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer,
    BertConfig, BertForSequenceClassification, BertModel, BertTokenizer,
)

from powerbert.models import Backbone, PowerFields, PowerModelMixin, PowerTaskMixin, register_backbone
from powerbert.models.backbones.bert import bert_encoder

# The host, as its authors publish it: a BERT whose positions begin at 3.


@strict
class ToyConfig(BertConfig):
    model_type = "toy"


class ToyModel(BertModel):
    config_class = ToyConfig


class ToyForSequenceClassification(BertForSequenceClassification):
    config_class = ToyConfig
    base_model_prefix = "bert"


AutoConfig.register("toy", ToyConfig)
AutoModel.register(ToyConfig, ToyModel)
AutoModelForSequenceClassification.register(ToyConfig, ToyForSequenceClassification)
AutoTokenizer.register(ToyConfig, BertTokenizer)


@strict
class PowerToyConfig(PowerFields, ToyConfig):
    model_type = "power_toy"

    def longest_input(self):
        return self.max_position_embeddings - 3


class PowerToyModel(PowerModelMixin, ToyModel):
    config_class = PowerToyConfig
    host_encoder = staticmethod(bert_encoder)

    def layers(self):
        return self.encoder.layer

    def pool(self, cls):
        return None if self.pooler is None else self.pooler(cls)


class PowerToyForSequenceClassification(PowerTaskMixin, ToyForSequenceClassification):
    config_class = PowerToyConfig
    base_class = PowerToyModel

    def classify(self, cls):
        return self.classifier(self.dropout(self.bert.pooler(cls)))


register_backbone(
    Backbone(
        PowerToyConfig,
        PowerToyModel,
        {"sequence_classification": PowerToyForSequenceClassification},
        tiny={"max_position_embeddings": 515},
    )
)
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages; the package toy in it names its backbone as an entry point."""
    metadata = tmp_path / "toy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[powerbert.backbones]\ntoy = toy_backbone\n")
    (tmp_path / "toy_backbone.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    BACKBONES.pop("toy", None)


def test_a_backbone_of_another_package_is_found_and_equals_its_host(site, tmp_path):
    """The only test that imports it: transformers registers a model type once in a process."""
    checkpoint = tiny(tmp_path / "toy", backbone="toy")
    assert resolve(str(checkpoint)) == checkpoint
    BACKBONES.pop("toy")
    sys.modules.pop("toy_backbone")
