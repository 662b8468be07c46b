"""One model for every speed: what is drawn, trained, chosen and set."""

import pytest
import torch

from powerbert.base.errors import UserError, find_user_error
from powerbert.data import TEACHER_LOGITS
from powerbert.methods.distillation import Distillation
from powerbert.methods.evolution import Evaluated, Retention
from powerbert.methods.sub_models import Sampler, best_at
from powerbert.models import as_power_model, load_model, num_encoders
from powerbert.run.settings import resolve
from powerbert.stages import SubModelTraining
from powerbert.store.artifacts import Artifact
from tests.models.backbones import BACKBONES, make_host
from tests.models.batches import padded, ragged_inputs
from tests.run.test_settings import composed
from tests.tiny_runs import overrides, train

SMALL = (
    "method.epochs=1",
    "method.fewest_encoders=2",
    "method.most_encoders=3",
    "method.evaluations=30",
    "trainer.max_epochs=1",
)
ELASTIC = ("method=elastic", "method.cost=operations", *SMALL)


def test_sub_models_are_drawn_within_their_bounds():
    torch.manual_seed(0)
    sampler = Sampler(fewest=3, most=5, steepest=0.5)
    assert sampler.smallest() == ((0, 1, 2), (0.5, 0.25, 0.0))
    drawn = [sampler() for _ in range(100)]
    assert {len(retention.encoders) for retention in drawn} == {3, 4, 5}
    for encoders, shares in drawn:
        assert encoders == tuple(range(len(shares)))
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


@pytest.fixture(scope="module")
def searched(corpus, tmp_path_factory):
    """Runs of both methods that use sub-models, which share their training; the folder and the records."""
    runs = tmp_path_factory.mktemp("runs")
    speeds = [train(corpus, runs, *ELASTIC, "method.speeds=[1,1.5]", f"method.speed={s}") for s in (1, 1.5)]
    combined = ("method=combined", "method.cost=operations", *SMALL)
    wanted = (("target_speedup=1.5", "method.encoders=2"), ("target_speedup=2.5", "method.encoders=3"))
    targets = [train(corpus, runs, *combined, *own) for own in wanted]
    return runs, speeds, targets


def results(runs, record, stage):
    return Artifact.load(runs / "artifacts" / record["artifacts"][stage]).manifest["results"]


def test_all_speeds_and_targets_share_one_training_of_sub_models(searched):
    runs, speeds, targets = searched
    records = [*speeds, *targets]
    assert len({record["artifacts"]["search"] for record in records}) == 1
    assert len({record["identity"] for record in records}) == 4
    assert len({record["artifacts"]["retrain"] for record in records}) == 3, "one holds all speeds"
    points = results(runs, speeds[0], "search")["fronts"]
    for own in (2, 3):
        front = [point for point in points if len(point["encoders"]) == own]
        assert [point["cost"] for point in front] == sorted(point["cost"] for point in front)
        assert [point["loss"] for point in front] == sorted((p["loss"] for p in front), reverse=True)


def test_each_speed_has_a_record(searched):
    runs, records, _ = searched
    speeds = results(runs, records[0], "retrain")["speeds"]
    model = load_model(runs / "artifacts" / records[0]["artifacts"]["retrain"])
    assert list(model.speeds) == [entry["speed"] for entry in speeds] == [1, 1.5]
    for record, entry in zip(records, speeds, strict=True):
        assert record["knob"] == {"speed": entry["speed"]}
        assert record["metric"]["value"] == entry["metrics"]["dev"]["accuracy"]
        assert record["flops"]["dynamic"]["ratio"] > 0.95 * entry["speed"]
        assert record["epochs"] == {"finetune": 1, "search": 1, "retrain": 0}


def test_choosing_a_speed_does_not_change_the_weights(searched):
    runs, (record, _), _ = searched
    trained, chosen = (
        load_model(runs / "artifacts" / record["artifacts"][stage]).state_dict()
        for stage in ("search", "retrain")
    )
    assert all(torch.equal(value, chosen[name]) for name, value in trained.items())


def test_combined_re_trains_the_best_sub_model_alone_and_records_the_target(searched):
    runs, _, records = searched
    for record, target, encoders in zip(records, (1.5, 2.5), (2, 3), strict=True):
        points = [
            Evaluated(Retention(tuple(p["encoders"]), tuple(p["shares"])), p["cost"], p["loss"])
            for p in results(runs, record, "search")["fronts"]
            if len(p["encoders"]) == encoders
        ]
        best = best_at(points, target)
        model = load_model(runs / "artifacts" / record["artifacts"]["retrain"])
        assert num_encoders(model.config) == len(best.retention.encoders)
        assert model.config.retention_shares == record["retention_shares"] == list(best.retention.shares)
        assert record["cls_alone"] is True
        assert record["target"] == {"speedup": target, "protocol": "dynamic", "predicted": 1 / best.cost}
        # counted by input, predicted by batch, which is as wide as its longest input
        assert 0.65 < record["flops"]["dynamic"]["ratio"] * best.cost < 2


def test_sub_models_are_trained_for_three_times_the_epochs_of_fine_tuning(corpus, tmp_path):
    more = ("method=elastic", "method.cost=operations", "stages.finetune.max_epochs=4")
    stages = resolve(composed(tmp_path, *overrides(corpus, tmp_path, *more))).stages
    assert stages["finetune"].trainer["max_epochs"] == 4
    assert stages["search"].trainer["max_epochs"] == 12


def test_without_epochs_the_sub_models_are_those_of_the_fine_tuned_model(corpus, tmp_path):
    untrained = ("method=combined", "method.cost=operations", *SMALL, "method.epochs=0", "method.encoders=2")
    record = train(corpus, tmp_path, *untrained, "target_speedup=2")
    finetuned, searched, final = (
        load_model(tmp_path / "artifacts" / record["artifacts"][stage]).state_dict()
        for stage in ("finetune", "search", "retrain")
    )
    assert all(torch.equal(value, searched[name]) for name, value in finetuned.items())
    assert len(final) < len(searched)
    assert record["epochs"] == {"finetune": 1, "search": 0, "retrain": 1}


def test_a_teacher_asked_once_says_what_it_says_in_every_step(corpus, tmp_path, monkeypatch):
    """It is asked before epochs that see all rows, and in each step of shorter ones."""
    asked, learnt = [], {}
    original = SubModelTraining.ask_teacher

    def ask(stage, batch):
        told = TEACHER_LOGITS in batch
        inputs = {name: value for name, value in batch.items() if name not in ("labels", TEACHER_LOGITS)}
        with torch.no_grad():
            expected = stage._teacher[0](**inputs).logits
        asked.append(told)
        batch, output = original(stage, batch)
        learnt[told] = torch.allclose(output.logits, expected, atol=1e-5)
        return batch, output

    monkeypatch.setattr(SubModelTraining, "ask_teacher", ask)
    for batches in ("1.0", "2"):
        more = (
            f"trainer.limit_train_batches={batches}",
            "method.epochs=2",
            "stage=search",
            "method.recombined=0",
        )
        train(corpus, tmp_path / batches, *ELASTIC, "method.recombined=0", *more)
    assert learnt == {True: True, False: True}
    assert asked.count(False) == 4
    assert asked.count(True) > 4


def test_recombined_batches_are_learnt_from_the_teacher_alone(corpus, tmp_path, monkeypatch):
    seen = []
    original = Distillation.__call__

    def noted(objective, student, teacher, mask):
        seen.append(student.loss is None)
        return original(objective, student, teacher, mask)

    monkeypatch.setattr(Distillation, "__call__", noted)
    for share in (0, 1):
        train(corpus, tmp_path / str(share), *ELASTIC, "stage=search", f"method.recombined={share}")
        assert set(seen) == {bool(share)}
        seen.clear()


def test_between_two_sub_models_shares_are_interpolated():
    deep, shallow = (0, 1, 2), (0, 2)
    points = [
        Evaluated(Retention(deep, (0.8, 0.6, 0.0)), 0.8, 0.1),
        Evaluated(Retention(deep, (0.4, 0.2, 0.0)), 0.4, 0.5),
        Evaluated(Retention(shallow, (0.9, 0.0)), 0.55, 0.32),
    ]
    assert best_at(points, 2.0) == Evaluated(Retention(deep, (0.5, 0.3, 0.0)), 0.5, pytest.approx(0.4))
    assert best_at(points, 1.6) == Evaluated(
        Retention(deep, (0.625, 0.425, 0.0)), 0.625, pytest.approx(0.275)
    )
    assert best_at(points, 1.7) == Evaluated(
        Retention(deep, (0.5882, 0.3882, 0.0)), 1 / 1.7, pytest.approx(0.312, abs=1e-3)
    )
    assert best_at(points, 1.8) == points[2], "the shallow one is faster than asked, and better"
    assert best_at(points, 1.0) == points[0]
    assert best_at(points, 3.0) is None


def test_the_number_of_encoders_can_be_given(corpus, searched):
    runs, *_ = searched
    settings = ("method=combined", "method.cost=operations", *SMALL, "target_speedup=1.5")
    record = train(corpus, runs, *settings, "method.encoders=2")
    assert len(record["retention_shares"]) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*ELASTIC, "method.speeds=[1,500]", "method.speed=500"), r"method.speed: 500 is beyond what"),
        ((*ELASTIC, "method.speed=7"), r"method.speed: 7 is not one of method.speeds"),
        (("method=combined", *SMALL, "target_speedup=1"), r"target_speedup: 1 must be"),
        (
            ("method=combined", "method.cost=operations", *SMALL, "target_speedup=500"),
            r"target_speedup: 500 is out of reach; the sub-models reach \d",
        ),
        (("method=combined", *SMALL, "target_speedup=2", "method.encoders=1"), r"method.encoders: 1 must be"),
        (
            (*ELASTIC, "method.fewest_encoders=3", "method.most_encoders=2"),
            r"method.fewest_encoders: 3 must be",
        ),
    ],
)
def test_what_cannot_be_met_is_refused_in_one_line(corpus, searched, overrides, message):
    with pytest.raises(Exception, match=message) as raised:  # Hydra wraps what a constructor raises
        train(corpus, searched[0], *overrides)
    assert "\n" not in str(find_user_error(raised.value))
