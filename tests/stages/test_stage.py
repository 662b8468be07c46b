"""The training stages: what decays, what is clipped, which epoch is kept, what a student learns from."""

import math
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import seed_everything

from powerbert.base.errors import ModelError
from powerbert.methods.distillation import Distillation
from powerbert.models import attention, load_host_model, load_power_model, take_encoders
from powerbert.stages import FineTune, MassRegularizer, Optimization, Retrain, Search, Stage, weighted_loss
from powerbert.stages.fit import fit
from tests.stages.trainings import LENGTH, SETTINGS, TASK, Data, batch


@pytest.fixture
def finetuned(tiny_checkpoint, tmp_path) -> str:
    seed_everything(0, verbose=False)
    load_host_model(tiny_checkpoint, num_labels=2).save_pretrained(tmp_path / "finetuned")
    return str(tmp_path / "finetuned")


def searching(finetuned: str, lambda_: float = 0.01, learning_rate: float = 0.5) -> Search:
    model = load_power_model(finetuned, soft_extract_length=LENGTH)
    optimization = Optimization(1e-3, warmup_ratio=0.0)
    mass = MassRegularizer(lambda_, LENGTH)
    return Search(model, TASK, optimization, regularizer=mass, retention_learning_rate=learning_rate)


def tuning(finetuned: str, kind: type = FineTune, **optimization) -> Stage:
    return kind(load_host_model(finetuned), TASK, Optimization(**{"learning_rate": 1e-3, **optimization}))


def same(state: dict, other: dict) -> bool:
    return all(torch.equal(state[name], value) for name, value in other.items())


def test_the_search_adds_the_mass_weighted_regularizer(finetuned):
    stage = searching(finetuned, lambda_=0.25)
    stage.eval()
    with torch.no_grad():
        stage.soft_extract.retention_parameters[1].fill_(0.5)
        plain = stage.model(**batch(0)).loss
        mass = LENGTH * (1 * 1.0 + 2 * 0.5 + 3 * 1.0)
        assert stage.loss(batch(0)).item() == pytest.approx(plain.item() + 0.25 * mass, rel=1e-5)


def test_the_weights_of_classes_are_those_of_each_input():
    # softmax(ln 3, 0) = (3/4, 1/4)
    logits = torch.tensor([[math.log(3), 0.0]] * 3)
    loss = weighted_loss(logits, torch.tensor([0, 1, 1]), torch.tensor([1.0, 5.0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + 2 * 5 * math.log(4)) / 3, rel=1e-6)


def test_the_weights_of_labels_are_those_of_their_presence():
    logits = torch.tensor([[math.log(3), 0.0]])  # probabilities 3/4 and 1/2
    weights = torch.tensor([5.0, 7.0])
    first = weighted_loss(logits, torch.tensor([[1.0, 0.0]]), weights)
    assert first.item() == pytest.approx((5 * math.log(4 / 3) + math.log(2)) / 2, rel=1e-6)
    second = weighted_loss(logits, torch.tensor([[0.0, 1.0]]), weights)
    assert second.item() == pytest.approx((math.log(4) + 7 * math.log(2)) / 2, rel=1e-6)


@pytest.mark.parametrize("labelled", ["classes", "labels"])
def test_weights_of_one_change_nothing_and_others_reach_the_objective_of_a_student(finetuned, labelled):
    given = batch(0)
    model = load_host_model(finetuned).eval()
    if labelled == "labels":
        model.config.problem_type = "multi_label_classification"
        given["labels"] = torch.nn.functional.one_hot(given["labels"], 2).float()
    teacher = load_host_model(finetuned).eval()
    stage = Retrain(model, TASK, Optimization(1e-3))
    student = Retrain(model, TASK, Optimization(1e-3), teacher=teacher, objective=Distillation(0.25, 1.0))
    plain = stage.loss(given).item()
    for weights in (torch.ones(2), torch.tensor([1.0, 9.0])):
        stage.class_weights = student.class_weights = weights
        loss = stage.loss(given).item()
        assert (loss == pytest.approx(plain, rel=1e-6)) == (weights[1] == 1)
        # it says what its teacher does, so nothing else is left of the objective
        assert student.loss(given).item() == pytest.approx(0.75 * loss, rel=1e-5)


def test_parameter_groups_cover_all_once_and_only_matrices_decay(finetuned):
    stage = searching(finetuned)
    groups = stage.parameter_groups()
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in stage.model.parameters())
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.0]
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert groups[2]["lr"] == 0.5
    assert [p.shape for p in groups[2]["params"]] == [(3, LENGTH)]


def test_retention_parameters_stay_in_bounds_and_the_mass_is_logged(finetuned, tmp_path):
    stage = searching(finetuned)
    seen = []
    stage.on_train_batch_end = lambda *_: seen.append(
        stage.soft_extract.retention_parameters.detach().clone()
    )
    logged = {}
    stage.log_dict = lambda values, **_: logged.update(values)
    fit(stage, Data(), SETTINGS, [], tmp_path)
    assert len(seen) == 8
    assert all(r.min() >= 0 and r.max() <= 1 for r in seen)
    assert seen[0].min() < 0.6, "a step of 0.5 must show"
    mass = seen[-1].sum(1).tolist()
    assert stage.results()["mass"] == pytest.approx(mass)
    assert [logged[f"search/mass_{j}"] for j in (1, 2, 3)] == pytest.approx(mass)


def test_dropout_is_on_while_training_and_off_while_evaluating(finetuned, tmp_path):
    stage = tuning(finetuned)
    assert not stage.model.training, "as from_pretrained leaves it"
    modes = []
    forward = stage.model.forward
    stage.model.forward = lambda **inputs: (modes.append(stage.model.training), forward(**inputs))[1]
    fit(stage, Data(), SETTINGS | {"max_epochs": 1}, [], tmp_path)
    assert modes == [True] * 4 + [False] * 8, "training, then the dev epoch and the kept weights' evaluation"


@pytest.mark.parametrize(("kind", "kept"), [(FineTune, 1), (Retrain, 1), (Search, 2)])
def test_the_best_epoch_on_dev_is_kept_and_of_a_search_the_last(kind, kept, finetuned, tmp_path):
    stage = searching(finetuned) if kind is Search else tuning(finetuned, kind, learning_rate=1e-2)
    weights, scores = [], iter([0.3, 0.9, 0.5, 0.9])

    def on_validation_epoch_end():
        stage.metrics.reset()
        weights.append({key: value.clone() for key, value in stage.model.state_dict().items()})
        stage.log(f"{stage.name}/dev_accuracy", next(scores))

    stage.on_validation_epoch_end = on_validation_epoch_end
    fit(stage, Data(), SETTINGS | {"max_epochs": 3}, [], tmp_path)
    assert [same(stage.model.state_dict(), epoch) for epoch in weights[:3]] == [n == kept for n in range(3)]


def test_the_learning_rate_warms_up_and_decays_linearly(finetuned, tmp_path):
    stage = tuning(finetuned, warmup_ratio=0.25)
    rates = []
    stage.on_train_batch_end = lambda *_: rates.append(stage.trainer.optimizers[0].param_groups[0]["lr"])
    fit(stage, Data(), SETTINGS, [], tmp_path)
    assert rates == pytest.approx([5e-4, 1e-3, 8.33e-4, 6.67e-4, 5e-4, 3.33e-4, 1.67e-4, 0], abs=1e-5)


def test_a_step_draws_the_same_whatever_came_before(finetuned):
    stage = tuning(finetuned)
    stage.model.train()
    losses = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        stage.on_train_batch_start({}, 3)
        losses.append(stage.loss(batch(0)).item())
    stage.on_train_batch_start({}, 4)
    assert losses[0] == losses[1] != stage.loss(batch(0)).item()


def test_long_inputs_train_with_attention_by_blocks_and_repeatably(finetuned, monkeypatch, tmp_path):
    def weights(longest: int) -> dict:
        monkeypatch.setattr(attention, "SHORT", longest)
        stage = tuning(finetuned)
        fit(stage, Data(), SETTINGS | {"max_epochs": 1}, [], tmp_path / str(len(list(tmp_path.iterdir()))))
        return stage.model.state_dict()

    by_blocks, again, whole = weights(LENGTH - 1), weights(LENGTH - 1), weights(LENGTH)
    assert same(by_blocks, again)
    assert not same(by_blocks, whole)


class Code:
    """What runs when its pickle is read without care."""

    def __reduce__(self):
        return pytest.fail, ("ran",)


def test_a_checkpoint_is_resumed_from_but_code_in_it_is_not_run(finetuned, tmp_path):
    def train(epochs: int) -> Stage:
        stage = tuning(finetuned)
        fit(stage, Data(), {**SETTINGS, "max_epochs": epochs}, [], tmp_path / "checkpoints")
        return stage

    train(1)
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert train(2).trainer.current_epoch == 2
    torch.save(torch.load(last, weights_only=True) | {"code": Code()}, last)
    with pytest.raises(ModelError, match=r"the checkpoint cannot be read \(UnpicklingError\)"):
        train(3)


@pytest.mark.parametrize("inputs", [8, 7, 2, 1])
def test_the_shares_of_a_batch_give_its_gradient(finetuned, inputs):
    """DDP averages over the processes; the regularizer must not grow with their number."""

    def gradients(rank: int, processes: int) -> torch.Tensor:
        stage = searching(finetuned, lambda_=0.5).eval()
        stage.trainer = SimpleNamespace(global_rank=rank, world_size=processes)
        stage.log = lambda *_, **__: None
        stage.training_step(batch(0, inputs), 0).backward()
        return torch.cat([parameter.grad.flatten() for parameter in stage.model.parameters()])

    together = torch.stack([gradients(rank, 3) for rank in range(3)]).mean(0)
    assert torch.allclose(together, gradients(0, 1), atol=1e-6)


def test_every_input_is_evaluated_once(finetuned):
    stage = tuning(finetuned).eval()
    seen = []
    stage.metrics.update = lambda _, labels, **_queries: seen.append(len(labels))
    for inputs in (8, 7, 1):
        for rank in range(3):
            stage.trainer = SimpleNamespace(global_rank=rank, world_size=3)
            stage.validation_step(batch(0, inputs), 0)
    assert seen == [3, 3, 2, 3, 2, 2, 1]


def test_the_student_learns_from_the_teacher_which_stays_out_of_checkpoints(tiny_checkpoint, tmp_path):
    def imitate(student, teacher, mask):
        return (student.logits - teacher.logits).square().mean()

    imitate.hidden_states = False

    seed_everything(0, verbose=False)
    teacher = load_host_model(tiny_checkpoint, num_labels=2)
    student = take_encoders(load_host_model(tiny_checkpoint, num_labels=2), [0])
    stage = Retrain(student, TASK, Optimization(1e-2), teacher=teacher, objective=imitate)
    assert sum(p.numel() for p in stage.parameters()) == student.num_parameters()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    start = stage.loss(batch(0)).item()
    fit(stage, Data(), SETTINGS | {"max_epochs": 8}, [], tmp_path)
    assert stage.loss(batch(0)).item() < start / 2
    assert same(teacher.state_dict(), before)
    assert not teacher.training
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert len(saved) == len(student.state_dict())


def test_the_mask_counts_each_choice_as_an_input(tiny_checkpoint):
    seen = []

    def objective(student, teacher, mask):
        seen.append((mask.shape, mask.dtype, student.hidden_states[0].shape[:2]))
        return student.loss

    objective.hidden_states = True
    models = [load_host_model(tiny_checkpoint, "multiple_choice") for _ in range(2)]
    stage = Retrain(models[0], TASK, Optimization(1e-2), teacher=models[1], objective=objective)
    rows = batch(0)
    labels = rows.pop("labels")[:4]
    stage.loss({name: value.unflatten(0, (4, 2)) for name, value in rows.items()} | {"labels": labels})
    assert seen == [((8, 12), torch.bool, (8, 12))]
