"""One model for every speed: what is drawn, trained, chosen and set."""

import pytest
import torch

from powerbert.base.errors import UserError
from powerbert.methods.elastic import Sampler
from powerbert.models import as_power_model, load_model
from tests.models.backbones import BACKBONES, make_host
from tests.models.batches import padded, ragged_inputs
from tests.tiny_runs import artifacts, train

SMALL = ("method=elastic", "method.epochs=1", "method.fewest_encoders=2", "method.evaluations=10")
SPEEDS = ("method.speeds=[1,1.2]", "trainer.max_epochs=1")


def test_sub_models_are_drawn_within_their_bounds():
    torch.manual_seed(0)
    sampler = Sampler(encoders=6, fewest=3, steepest=0.5, number=4)
    drawn = [retention for _ in range(100) for retention in sampler()]
    assert drawn[0] == sampler.smallest()
    assert drawn[0].encoders == (0, 3, 5)
    assert drawn[0].shares == (0.5, 0.25, 0.0)
    assert {len(retention.encoders) for retention in drawn} == {3, 4, 5, 6}
    for encoders, shares in drawn:
        assert len(encoders) == len(shares)
        assert shares[-1] == 0.0
        kept = [after / before for before, after in zip((1.0, *shares), shares[:-1], strict=False)]
        assert all(0.5 - 1e-3 <= part <= 1 + 1e-3 for part in kept)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_speed_is_the_model_with_those_shares_alone(backbone):
    batch = padded(ragged_inputs())
    speeds = [
        {"speed": 1.5, "encoders": [0, 1, 2], "shares": [0.8, 0.5, 0.0]},
        {"speed": 2.5, "encoders": [0, 2], "shares": [0.4, 0.0]},
    ]
    host = make_host(backbone).eval()
    model = as_power_model(host, cls_alone=True, speeds=speeds)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for entry in [*speeds, *reversed(speeds)]:
            model.set_speed(entry["speed"])
            alone = as_power_model(
                host, cls_alone=True, retention_shares=entry["shares"], active_encoders=entry["encoders"]
            )
            torch.testing.assert_close(model(**batch).logits, alone(**batch).logits, rtol=0, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.speeds == (1.5, 2.5)
    model.set_speed(2)
    assert model.config.retention_shares == [0.4, 0.0]
    with pytest.raises(UserError, match=r"speed: 3 is beyond the model's speeds \(1.5, 2.5\)"):
        model.set_speed(3)


def test_speeds_share_one_training_and_each_has_a_record(corpus, tmp_path):
    slow = train(corpus, tmp_path, *SMALL, *SPEEDS, "method.speed=1")
    before = artifacts(tmp_path)
    results = load_results(tmp_path, slow)
    model = load_model(tmp_path / "artifacts" / slow["artifacts"]["retrain"])
    assert slow["knob"] == {"speed": 1}
    assert list(model.speeds) == [entry["speed"] for entry in results]
    assert slow["metric"]["value"] == results[0]["metrics"]["dev"]["accuracy"]
    if len(results) == 2:
        fast = train(corpus, tmp_path, *SMALL, *SPEEDS, "method.speed=1.2")
        assert artifacts(tmp_path) == before
        assert fast["identity"] != slow["identity"]
        assert fast["metric"]["value"] == results[1]["metrics"]["dev"]["accuracy"]


def test_a_speed_out_of_reach_is_refused_by_name(corpus, tmp_path):
    with pytest.raises(UserError, match=r"method.speed: 500 is beyond what this model reaches"):
        train(corpus, tmp_path, *SMALL, "method.speeds=[1,500]", "method.speed=500", "trainer.max_epochs=1")


def load_results(runs, record):
    from powerbert.store.artifacts import Artifact

    return Artifact.load(runs / "artifacts" / record["artifacts"]["retrain"]).manifest["results"]["speeds"]
