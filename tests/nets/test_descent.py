"""Minimising many small problems at once."""

from __future__ import annotations

import torch
from torch import Tensor

from facefill.nets.descent import _learn, descend

COUNT, SIZE = 4, 6


def bowls() -> tuple[Tensor, Tensor]:
    """Matrices (N, D, D) with eigenvalues from 1 to 1,000, and where the bowls are lowest."""
    generator = torch.Generator().manual_seed(0)
    turns, _ = torch.linalg.qr(torch.randn(COUNT, SIZE, SIZE, generator=generator))
    matrices = turns @ torch.diag(torch.logspace(0, 3, SIZE)) @ turns.mT
    return matrices, torch.rand(COUNT, SIZE, generator=generator) * 3 - 1.5


def bowl_loss(values: Tensor, rows: Tensor) -> Tensor:
    matrices, lowest = bowls()
    away = values - lowest[rows]
    return (away[:, None] @ matrices[rows] @ away[:, :, None])[:, 0, 0]


def banana(values: Tensor, _: Tensor) -> Tensor:
    """Rosenbrock's function, lowest at 1."""
    return ((values[:, 1:] - values[:, :-1].square()).square() * 100 + (1 - values[:, :-1]).square()).sum(1)


def test_it_finds_where_bowls_and_bananas_are_lowest() -> None:
    found, steps = descend(bowl_loss, torch.zeros(COUNT, SIZE), 200, 200, 0.0)
    torch.testing.assert_close(found, bowls()[1], atol=1e-3, rtol=1e-3)
    assert (steps == 200).all()
    found, _ = descend(banana, torch.full((1, 5), -0.5), 200, 200, 0.0)
    torch.testing.assert_close(found, torch.ones(1, 5), atol=1e-2, rtol=1e-2)


def test_a_hundred_gradients_do_what_adam_needs_a_thousand_for() -> None:
    start = torch.full((1, 5), -0.5)
    found, _ = descend(banana, start, 100, 100, 0.0)
    values = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([values], 0.02)
    for _ in range(1000):
        optimizer.zero_grad()
        banana(values, torch.zeros(1)).sum().backward()
        optimizer.step()
    ours, theirs = (float(banana(end.detach(), torch.zeros(1))) for end in (found, values))
    assert ours <= theirs


def test_what_is_learnt_turns_the_change_of_the_gradient_into_the_move() -> None:
    matrices, _ = bowls()
    moved = torch.randn(COUNT, SIZE, generator=torch.Generator().manual_seed(1))
    turned = (matrices @ moved[:, :, None])[:, :, 0]
    before = torch.eye(SIZE).expand(COUNT, -1, -1)
    learnt = _learn(before, moved, turned)
    torch.testing.assert_close((learnt @ turned[:, :, None])[:, :, 0], moved, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(learnt, learnt.mT)
    assert (torch.linalg.eigvalsh(learnt.double()) > 0).all()
    assert (_learn(before, moved, -turned) == before).all(), "curved downwards: nothing to learn"


def test_rows_that_stand_still_leave_and_none_depends_on_the_others() -> None:
    start = torch.rand(COUNT, SIZE, generator=torch.Generator().manual_seed(3)) * 2 - 1
    asked: list[int] = []

    def loss(values: Tensor, rows: Tensor) -> Tensor:
        asked.append(len(rows))
        return bowl_loss(values, rows)

    together, steps = descend(loss, start, 200, 5, 0.01)
    assert steps.unique().numel() > 1
    assert len(asked) == int(steps.max()) < 200
    assert sum(asked) == int(steps.sum())
    for row in range(COUNT):

        def itself(values: Tensor, _: Tensor, row: int = row) -> Tensor:
            return bowl_loss(values, torch.tensor([row]))

        alone, _ = descend(itself, start[row : row + 1], 200, 5, 0.01)
        assert (alone[0] == together[row]).all()
