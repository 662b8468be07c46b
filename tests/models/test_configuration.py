import pytest
from huggingface_hub.errors import StrictDataclassError

from powerbert.base.errors import ConfigError
from powerbert.models import longest_input, num_encoders
from powerbert.models.backbone import BACKBONES
from powerbert.models.backbones.albert import PowerAlbertConfig
from powerbert.models.backbones.bert import PowerBertConfig, PowerBertForSequenceClassification
from powerbert.models.backbones.roberta import PowerRobertaConfig
from powerbert.models.tiny import tiny_config

HOST = tiny_config().to_dict() | {"model_type": "power_bert"}


def power_config(**fields):
    return PowerBertConfig(**HOST | fields)


def test_eliminates_nothing_by_default():
    config = power_config()
    assert config.model_type == "power_bert"
    assert (config.retention_configuration, config.soft_extract_length) == (None, None)
    assert config.significance_diagonal
    assert not config.significance_pad_queries
    assert config.soft_extract_protects_cls
    assert (config.selection, config.selection_order) == ("attn", None)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_fields_survive_saving(backbone, tmp_path):
    host = tiny_config(backbone).to_dict()
    config = BACKBONES[backbone].config(
        **host | {"model_type": f"power_{backbone}"},
        retention_configuration=[3, 2, 1],
        significance_diagonal=False,
        selection="rand",
        selection_order=[0, 2, 1, 3],
    )
    config.save_pretrained(tmp_path)
    loaded = BACKBONES[backbone].config.from_pretrained(tmp_path)
    assert loaded.retention_configuration == [3, 2, 1]
    assert loaded.selection_order == [0, 2, 1, 3]
    assert loaded.to_dict() == config.to_dict()
    assert loaded.to_dict().items() >= (host | {"model_type": f"power_{backbone}"}).items()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_tiny_host_has_as_many_encoders_and_positions(backbone):
    config = tiny_config(backbone)
    assert (num_encoders(config), longest_input(config)) == (3, 512)


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
        ({"soft_extract_length": 0}, "^soft_extract_length"),
        ({"soft_extract_length": 513}, "^soft_extract_length: 513 .* 512"),
        ({"is_decoder": True}, "^is_decoder"),
        ({"selection": "tail"}, "^selection: 'tail' is unknown"),
        ({"selection": "head", "soft_extract_length": 9}, "^selection: 'head' needs a given"),
        ({"selection": "rand", "retention_configuration": [3, 2, 1]}, "^selection_order"),
    ],
)
def test_an_invalid_field_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        power_config(**fields)


@pytest.mark.parametrize(
    "fields", [{"retention_configuration": [3.5, 2, 1]}, {"soft_extract_length": "many"}]
)
def test_a_value_of_the_wrong_type_is_refused(fields):
    with pytest.raises(StrictDataclassError, match=next(iter(fields))):
        power_config(**fields)


def test_a_value_set_afterwards_is_refused_by_the_model():
    config = power_config()
    config.retention_configuration = [3, 2]
    with pytest.raises(ConfigError, match="has 2 entries"):
        PowerBertForSequenceClassification(config)
