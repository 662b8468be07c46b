"""What plain transformers would run instead."""

import pytest
from transformers import AutoConfig

from powerbert.export.host import find_baseline, host_config
from powerbert.models import load_model, prune_heads, unique_encoders
from tests.models.backbones import BACKBONES, make_host, make_power


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_config_is_the_hosts(backbone, tmp_path):
    host = make_host(backbone)
    power = make_power(host, retention_configuration=[8, 5, 2])
    config = host_config(prune_heads(power, [[0, 1] for _ in unique_encoders(power)]))
    assert config.architectures == [type(host).__name__]
    config.save_pretrained(tmp_path)
    loaded, expected = AutoConfig.from_pretrained(tmp_path).to_dict(), host.config.to_dict()
    written = {"architectures", "dtype", "transformers_version", "_name_or_path"}
    assert loaded.keys() - written == expected.keys() - written
    assert all(loaded[key] == expected[key] for key in expected.keys() - written)


def test_the_baseline_is_the_fine_tuned_model(artifacts):
    for folder in artifacts:
        name, baseline = find_baseline(folder, load_model(folder))
        assert name == artifacts[0].name
        assert type(baseline).__name__ == "BertForSequenceClassification"
        assert baseline.config._attn_implementation == "sdpa"
        assert not baseline.training
    weights = [find_baseline(folder, load_model(folder))[1].bert.pooler.dense.weight for folder in artifacts]
    assert weights[0].equal(weights[1])


def test_a_classifier_without_a_chain_is_its_own_baseline(tmp_path):
    model = make_host("roberta")
    assert find_baseline(tmp_path, model) == (tmp_path.name, model)


def test_else_it_has_the_shape_of_the_model(tmp_path):
    power = make_power(
        make_host("albert", "multiple_choice"), "multiple_choice", retention_configuration=[5] * 3
    )
    name, baseline = find_baseline(tmp_path, power)
    assert name is None
    assert type(baseline).__name__ == "AlbertForMultipleChoice"
    assert baseline.num_parameters() == power.num_parameters()
