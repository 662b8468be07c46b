import pytest
from huggingface_hub.errors import StrictDataclassError

from powerbert.errors import ConfigError
from powerbert.models import PowerBertConfig, PowerBertForSequenceClassification
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


def test_fields_survive_saving(tmp_path):
    config = power_config(retention_configuration=[9, 5, 1], significance_diagonal=False)
    config.save_pretrained(tmp_path)
    loaded = PowerBertConfig.from_pretrained(tmp_path)
    assert loaded.retention_configuration == [9, 5, 1]
    assert loaded.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"retention_configuration": [3, 2]}, "^retention_configuration has 2 entries"),
        ({"retention_configuration": [3, 4, 2]}, "^retention_configuration grows"),
        ({"retention_configuration": [513, 4, 2]}, "^retention_configuration: 513 .* maximum length 512"),
        ({"retention_configuration": [3, 2, 1], "soft_extract_length": 9}, "exclude one another"),
        ({"soft_extract_length": 0}, "^soft_extract_length"),
        ({"soft_extract_length": 513}, "^soft_extract_length .* 512 positions, not 513"),
        ({"is_decoder": True}, "^is_decoder"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, message):
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
