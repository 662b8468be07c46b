"""What the search weighs beside the task's loss, and how it meets a target."""

import itertools

import pytest
import torch
from lightning.pytorch import seed_everything

from powerbert.base.errors import ConfigError
from powerbert.elimination.soft_extract import SoftExtract
from powerbert.models import as_power_model, load_host_model
from powerbert.stages import CostRegularizer, MassRegularizer, Optimization, Search
from powerbert.stages.fit import fit
from powerbert.stages.search import without_loss
from tests.stages.trainings import SETTINGS, TASK, Data

WORDS = torch.tensor([1e6])


def mean_share(retained, *, cls_alone=False, exact=False):
    """A cost: the mean share of what the encoders retain of a long input."""
    return (retained(WORDS) / WORDS).mean()


def regularizer(target=None, lambda_=0.1, encoders=3):
    return CostRegularizer(
        mean_share,
        encoders=encoders,
        lambda_=lambda_,
        target_speedup=target,
        max_length=20,
        cls_alone=False,
    )


def soft_extract(*shares):
    made = SoftExtract(len(shares), 4, bins=True)
    with torch.no_grad():
        made.retention_parameters.copy_(torch.tensor(shares).unsqueeze(1).expand(-1, 4))
    return made


def test_with_lambda_the_penalty_has_the_size_of_the_mass():
    """All is retained at first: a relative cost of 1 counts as the masses l + 2 l + 3 l do."""
    own = soft_extract(1.0, 1.0, 1.0)
    assert regularizer()(own, 0.5).item() == pytest.approx(0.1 * 20 * 6)
    assert MassRegularizer(0.1, 20)(own, 0.5).item() == pytest.approx(0.1 * 20 * 6)


def test_the_target_falls_from_the_start_and_stays():
    penalty = regularizer(4.0)
    assert penalty.target(0.0) == pytest.approx(1.0)
    assert penalty.target(penalty.RAMP / 2) == pytest.approx(1 - 0.75 / 2)
    assert penalty.target(penalty.RAMP) == penalty.target(1.0) == pytest.approx(0.25)


def test_a_target_beyond_all_elimination_is_refused():
    with pytest.raises(ConfigError, match=r"^target_speedup: 1e\+07 is out of reach"):
        regularizer(1e7)


def test_within_the_target_there_is_no_penalty_and_the_multiplier_does_not_fall_below_zero():
    penalty, own = regularizer(2.0), soft_extract(0.2, 0.2, 0.2)
    penalty.after_step(own, 1.0)
    assert penalty.multiplier.item() == 0
    assert penalty(own, 1.0).item() == 0


def test_the_multiplier_adds_up_what_is_over_the_target():
    penalty, own = regularizer(2.0), soft_extract(0.9, 0.8, 0.7)
    for _ in range(3):
        penalty.after_step(own, 1.0)
    assert penalty.multiplier.item() == pytest.approx(3 * penalty.ASCENT * 0.3, rel=1e-4)
    assert penalty(own, 1.0).item() == pytest.approx(0.45 * 0.3 + penalty.RHO / 2 * 0.09, rel=1e-4)


def test_the_known_optimum_of_a_toy_is_found():
    """Losses w (1 - s)^2 under a mean share of 1/2: each encoder gives up in inverse proportion to w."""
    weights = torch.tensor([4.0, 2.0, 1.0])
    penalty, own, steps = regularizer(2.0), soft_extract(1.0, 1.0, 1.0), 3000
    optimizer = torch.optim.SGD(own.parameters(), lr=0.05)
    for step in range(steps):
        optimizer.zero_grad()
        loss = (weights * (1 - own.shares()) ** 2).sum()
        (loss + penalty(own, step / steps)).backward()
        optimizer.step()
        own.clip_()
        penalty.after_step(own, step / steps)
    given_up = 1.5 / (1 / weights).sum() / weights
    assert own.shares().mean().item() == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(own.shares(), 1 - given_up, atol=0.04, rtol=0)
    results = penalty.results(own)
    assert results["predicted_speedup"] == pytest.approx(2.0, rel=1e-3)
    assert results["shares"] == pytest.approx((1 - given_up).tolist(), abs=0.04)


def scored(values, price=0.2):
    """A cost in which an encoder that eliminates anything pays a price."""
    pairs = itertools.pairwise([1.0, *values])
    return sum(own + (price if own < before else 0.0) for before, own in pairs)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([0.95, 0.5, 0.2], [1.0, 0.5, 0.2]),  # 0.05 is not worth the price
        ([0.5, 0.25, 0.1], [0.5, 0.25, 0.1]),
        ([0.95, 0.9, 0.85], [1.0, 1.0, 0.85]),
    ],
)
def test_without_loss_leaves_out_an_elimination_that_does_not_pay(values, kept):
    assert without_loss(scored, values, 1.0) == kept
    choices = itertools.product((False, True), repeat=2)

    def chosen(whole):
        made = []
        for value, keep in zip(values, (*whole, False), strict=True):
            made.append((made[-1] if made else 1.0) if keep else value)
        return made

    assert scored(kept) == pytest.approx(min(scored(chosen(whole)) for whole in choices))


def test_the_multiplier_stays_in_the_checkpoint(tiny_checkpoint, tmp_path):
    seed_everything(0, verbose=False)
    model = as_power_model(load_host_model(tiny_checkpoint, num_labels=2), soft_extract_bins=4)
    penalty = regularizer(3.0)
    stage = Search(model, TASK, Optimization(1e-3), regularizer=penalty, retention_learning_rate=1e-3)
    fit(stage, Data(), SETTINGS, [], tmp_path)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert saved["regularizer.multiplier"] == penalty.multiplier > 0
    assert set(stage.results()) == {"shares", "searched", "predicted_speedup"}
