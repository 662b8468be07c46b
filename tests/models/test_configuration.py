import math
from functools import partial

import pytest
from huggingface_hub.errors import StrictDataclassError

from powerbert.base.errors import ConfigError
from powerbert.models import (
    POWER_FIELDS,
    as_power_model,
    load_config,
    load_host_model,
    load_power_model,
    longest_input,
    num_encoders,
)
from powerbert.models.backbone import BACKBONES
from powerbert.models.backbones.albert import PowerAlbertConfig
from powerbert.models.backbones.bert import PowerBertConfig, PowerBertForSequenceClassification
from powerbert.models.backbones.roberta import PowerRobertaConfig
from powerbert.models.tiny import tiny_config

from .backbones import make_host

HOST = tiny_config().to_dict() | {"model_type": "power_bert"}


def power_config(**fields):
    return PowerBertConfig(**HOST | fields)


def test_eliminates_nothing_by_default():
    fields = power_config().to_dict()
    assert fields["model_type"] == "power_bert"
    assert {name: fields[name] for name in POWER_FIELDS} == {
        **dict.fromkeys(POWER_FIELDS),
        "cls_alone": False,
        "significance": "received",
        "significance_diagonal": True,
        "significance_pad_queries": False,
        "soft_extract_protects_cls": True,
        "selection": "attn",
    }


@pytest.mark.parametrize("backbone", BACKBONES)
def test_fields_survive_saving(backbone, tmp_path):
    host = tiny_config(backbone)
    power = host.to_dict() | {"model_type": f"power_{backbone}"}
    power |= {"retention_configuration": [3, 3, 1], "significance_diagonal": False}
    power |= {"significance": "cls"}
    power |= {"selection": "rand", "selection_order": [0, 2, 1, 3]}
    BACKBONES[backbone].config(**power).save_pretrained(tmp_path)
    loaded = BACKBONES[backbone].config.from_pretrained(tmp_path)
    assert loaded.to_dict().items() >= power.items()
    for config in (host, loaded):
        assert (num_encoders(config), longest_input(config)) == (3, 512)


@pytest.mark.parametrize("backbone", ["albert", "bert", "camembert", "electra", "roberta", "xlm-roberta"])
def test_relative_positions_that_transformers_ignores_are_refused(backbone, tmp_path):
    host = make_host(backbone, position_embedding_type="relative_key")
    host.save_pretrained(tmp_path)
    for load in (load_config, load_host_model, partial(load_power_model, cls_alone=True)):
        with pytest.raises(ConfigError, match=r"^position_embedding_type: 'relative_key' is ignored"):
            load(tmp_path)
    with pytest.raises(ConfigError, match=r"^position_embedding_type"):
        as_power_model(host, cls_alone=True)
    host.config.position_embedding_type = "absolute"
    as_power_model(host, cls_alone=True)


def test_robertas_positions_begin_after_its_padding_index():
    roberta = tiny_config("roberta", max_position_embeddings=66).to_dict() | {"model_type": "power_roberta"}
    PowerRobertaConfig(**roberta, retention_configuration=[64, 2, 1])
    PowerRobertaConfig(**roberta, soft_extract_length=64)
    with pytest.raises(ConfigError, match=r"^soft_extract_length: 65 .* from 1 to 64"):
        PowerRobertaConfig(**roberta, soft_extract_length=65)
    with pytest.raises(ConfigError, match=r"^retention_configuration, encoder 1: 65 .* from 1 to 64"):
        PowerRobertaConfig(**roberta, retention_configuration=[65, 2, 1])


def test_inner_encoders_of_albert_count():
    albert = tiny_config("albert", inner_group_num=2).to_dict() | {"model_type": "power_albert"}
    assert num_encoders(PowerAlbertConfig(**albert, retention_configuration=[6, 5, 4, 3, 2, 1])) == 6
    with pytest.raises(ConfigError, match="has 3 entries, but the model has 6 encoders"):
        PowerAlbertConfig(**albert, retention_configuration=[3, 2, 1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"retention_configuration": [3, 2]}, "^retention_configuration has 2 entries"),
        ({"retention_configuration": [3, 4, 2]}, "^retention_configuration grows"),
        ({"retention_configuration": [513, 4, 2]}, "^retention_configuration, encoder 1: 513 .* 512"),
        ({"retention_configuration": [3, 2, 1], "soft_extract_length": 9}, "exclude one another"),
        ({"retention_thresholds": [0.1, 0.2]}, "^retention_thresholds has 2 entries"),
        ({"retention_thresholds": [0.1, 0.2, math.nan]}, "^retention_thresholds, encoder 3: nan"),
        ({"retention_thresholds": [0.1, -0.2, 0.0]}, "^retention_thresholds, encoder 2: -0.2"),
        ({"retention_thresholds": [0.1] * 3, "soft_threshold_temperature": 0.1}, "exclude one another"),
        ({"retention_thresholds": [0.1] * 3, "selection": "head"}, "^selection: 'head' needs .* thresholds"),
        ({"soft_threshold_temperature": 0.0}, "^soft_threshold_temperature: 0.0"),
        ({"protected_until": 3, "retention_thresholds": [0.1] * 3}, "^protected_until"),
        ({"protected_until": 3, "selection": "head"}, "^protected_until"),
        ({"soft_extract_length": 0}, "^soft_extract_length"),
        ({"soft_extract_length": 513}, "^soft_extract_length: 513 .* 512"),
        ({"is_decoder": True}, "^is_decoder"),
        ({"significance": "sent"}, "^significance: 'sent' is unknown"),
        ({"selection": "tail"}, "^selection: 'tail' is unknown"),
        ({"selection": "head", "soft_extract_length": 9}, "^selection: 'head' needs a given"),
        ({"selection": "rand", "retention_configuration": [3, 2, 1]}, "^selection_order"),
    ],
)
def test_an_invalid_field_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        power_config(**fields)


@pytest.mark.parametrize(
    ("name", "value"), [("retention_configuration", [3.5, 2]), ("soft_extract_length", "x")]
)
def test_a_value_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(StrictDataclassError, match=name):
        power_config(**{name: value})


def test_a_value_set_afterwards_is_refused_by_the_model():
    config = power_config()
    config.retention_configuration = [3, 2]
    with pytest.raises(ConfigError, match="has 2 entries"):
        PowerBertForSequenceClassification(config)
