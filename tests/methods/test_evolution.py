"""The evolutionary search on a toy whose front is known."""

import pytest

from powerbert.methods.evolution import Evaluated, Retention, evolve, pareto_front

WANTED = (0.7, 0.2)
"""The loss of the toy grows with what is dropped below these shares, and with nothing else."""


def cost(retention: Retention) -> float:
    return sum(retention.shares) + len(retention.encoders)


def loss(retention: Retention) -> float:
    dropped = [max(0.0, wanted - share) for wanted, share in zip(WANTED, retention.shares, strict=False)]
    return sum(dropped) + (1.0 if len(retention.encoders) < 3 else 0.0)


ALL = Retention((0, 1, 2), (1.0, 1.0, 0.0))
FEW = Retention((0, 2), (0.5, 0.0))


def test_finds_the_knee_of_a_known_front():
    front = pareto_front(evolve([ALL, FEW], cost, loss, evaluations=400, seed=0))
    best = next(point for point in front if point.loss < 0.02)
    assert best.cost == pytest.approx(3 + sum(WANTED), abs=0.1)
    assert best.retention.shares[:2] == pytest.approx(WANTED, abs=0.06)


def test_a_front_has_no_point_that_another_beats():
    points = [Evaluated(ALL, c, value) for c, value in [(3, 1), (1, 3), (2, 2), (2, 3), (3, 2), (4, 1)]]
    assert [(point.cost, point.loss) for point in pareto_front(points)] == [(1, 3), (2, 2), (3, 1)]


def test_children_are_valid_and_nothing_is_evaluated_twice():
    seen = []

    def noted(retention: Retention) -> float:
        seen.append(retention)
        return loss(retention)

    evolve([ALL, FEW], cost, noted, evaluations=60, seed=0)
    assert len(seen) == len(set(seen)) == 60
    for encoders, shares in seen:
        assert len(shares) == len(encoders)
        assert list(shares) == sorted(shares, reverse=True)
        assert shares[-1] == 0.0


def test_the_same_seed_finds_the_same():
    fronts = [evolve([ALL, FEW], cost, loss, evaluations=50, seed=seed) for seed in (3, 3)]
    assert fronts[0] == fronts[1]
