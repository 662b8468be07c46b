import pytest
import torch

from powerbert.base.errors import ConfigError, ModelError
from powerbert.benchmark.pair import Retention, from_artifact, from_shape
from powerbert.models import load_host_model, load_model, prune_heads
from powerbert.models.tiny import SIZES
from tests.benchmark.conftest import RETENTION

FULL = Retention("full", None)


@pytest.fixture
def words():
    return torch.arange(1, 41).view(2, 20)


def logits(model, words):
    with torch.inference_mode():
        return model(input_ids=words).logits


def storages(model):
    return {parameter.data_ptr() for parameter in model.parameters()}


def test_host_and_power_model_are_made_once_and_share_one_set_of_weights(pair):
    assert pair.host() is pair.host()
    assert pair.host() is not pair.host("eager")
    assert pair.power(RETENTION) is pair.power(Retention("some", (9, 5, 2)))
    shared = storages(pair.host())
    assert storages(pair.host("eager")) == storages(pair.power(RETENTION)) == shared


def test_a_model_made_in_inference_mode_works_outside_of_it(words):
    pair = from_shape("tiny", "bert", seed=3, **SIZES)
    with torch.inference_mode():
        model = pair.host()
    assert model(input_ids=words).logits.requires_grad


def test_the_host_has_the_attention_that_was_asked_for(pair, words):
    eager, sdpa = pair.host("eager"), pair.host("sdpa")
    assert (eager.config._attn_implementation, sdpa.config._attn_implementation) == ("eager", "sdpa")
    torch.testing.assert_close(logits(eager, words), logits(sdpa, words))


def test_the_power_model_retains_what_it_is_told(pair, words):
    torch.testing.assert_close(logits(pair.power(FULL), words), logits(pair.host(), words))
    retained = pair.power(RETENTION).retained_word_vectors(input_ids=words)
    assert [positions.shape[1] for positions, _ in retained] == [9, 5, 2]


def test_models_to_be_trained_have_weights_of_their_own(pair):
    shared = storages(pair.host())
    for model in (pair.plain(), pair.soft(20)):
        assert not storages(model) & shared
    assert pair.soft(20).soft_extract.retention_parameters.shape == (3, 20)


def test_weights_come_from_the_seed_and_the_random_state_is_left_alone(pair, words):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again, other = from_shape("tiny", "bert", seed=3, **SIZES), from_shape("tiny", "bert", seed=4, **SIZES)
    assert torch.rand(1) == expected
    assert torch.equal(logits(again.host(), words), logits(pair.host(), words))
    assert not torch.equal(logits(other.host(), words), logits(pair.host(), words))


def test_an_unknown_backbone_is_named():
    with pytest.raises(ConfigError, match=r"^shape.model_type: 'gpt2' is unknown"):
        from_shape("other", "gpt2", seed=0)


def test_an_artifact_brings_its_configuration_and_length(retrained, words):
    pair = from_artifact(retrained)
    assert pair.own == Retention("artifact", (9, 5, 1), 16)
    assert pair.name == retrained.name
    trained = load_host_model(retrained)
    assert torch.equal(logits(pair.host(), words), logits(trained, words))
    retained = pair.power(pair.own).retained_word_vectors(input_ids=words)
    assert [positions.shape[1] for positions, _ in retained] == [9, 5, 1]


def test_an_artifact_that_eliminates_nothing_retains_all(finetuned):
    assert from_artifact(finetuned).own == Retention("full", None, 16)


def test_an_artifact_keeps_how_word_vectors_are_chosen(make_artifact):
    pair = from_artifact(make_artifact(retention_configuration=[9, 5, 1], significance_diagonal=False))
    assert pair.power(pair.own).config.significance_diagonal is False


def test_a_searched_model_is_taken_without_its_soft_extract_layers(make_artifact, words):
    pair = from_artifact(make_artifact(soft_extract_length=16))
    assert pair.own.configuration is None
    torch.testing.assert_close(logits(pair.power(pair.own), words), logits(pair.host(), words))


@pytest.mark.parametrize("power_fields", [{}, {"retention_configuration": [9, 5, 1]}])
def test_a_model_with_fewer_heads_is_compared_with_a_host_that_has_them_all(
    make_artifact, power_fields, tmp_path, words
):
    folder = make_artifact(**power_fields)
    pruned = prune_heads(load_model(folder), [[0, 1], [0, 1, 2], [3]]).eval()
    pruned.save_pretrained(tmp_path)
    pair = from_artifact(tmp_path)
    torch.testing.assert_close(logits(pair.power(pair.own), words), logits(pruned, words))
    host, expected = pair.host(), load_host_model(folder)
    assert type(host) is type(expected)
    assert host.num_parameters() == expected.num_parameters() > pair.power(pair.own).num_parameters()
    assert pair.soft(20).config.encoder_heads == pruned.config.encoder_heads


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path)):
        from_artifact(tmp_path)


def test_cls_alone_is_for_both_sides(words):
    whole, alone = (from_shape("tiny", "bert", seed=3, **SIZES) for _ in range(2))
    alone.cls_alone = True
    for one, other in ((whole.host(), alone.host()), (whole.power(RETENTION), alone.power(RETENTION))):
        assert other.config.cls_alone
        torch.testing.assert_close(logits(other, words), logits(one, words))
    with pytest.raises(ConfigError, match=r"cls_alone=true .* eager"):
        alone.host("eager")


def test_an_artifact_with_shares_keeps_them(make_artifact, words):
    folder = make_artifact(retention_shares=[0.5, 0.3, 0.0], cls_alone=True)
    pair = from_artifact(folder)
    assert pair.own.at(16) == [8, 5, 1]
    torch.testing.assert_close(logits(pair.power(pair.own), words), logits(load_model(folder), words))
