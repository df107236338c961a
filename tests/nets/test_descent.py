"""Minimising many small problems at once."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from facefill.nets.descent import _learn, descend

COUNT, SIZE = 4, 6


def bowls() -> tuple[Tensor, Tensor]:
    """Matrices (N, D, D) with eigenvalues from 1 to 1,000, and where the bowls would be lowest without bounds."""
    generator = torch.Generator().manual_seed(0)
    turns, _ = torch.linalg.qr(torch.randn(COUNT, SIZE, SIZE, generator=generator))
    matrices = turns @ torch.diag(torch.logspace(0, 3, SIZE)) @ turns.mT
    return matrices, torch.rand(COUNT, SIZE, generator=generator) * 3 - 1.5


def bowl_loss(codes: Tensor, rows: Tensor) -> Tensor:
    matrices, lowest = bowls()
    away = codes - lowest[rows]
    return (away[:, None] @ matrices[rows] @ away[:, :, None])[:, 0, 0]


def test_it_finds_what_scipy_finds_within_the_bounds() -> None:
    found, steps = descend(bowl_loss, torch.zeros(COUNT, SIZE), 300, 300, 0.0)
    assert (found.abs() == 1).any(1).all()
    assert (steps == 300).all()
    for row in range(COUNT):
        def loss(codes: object, row: int = row) -> float:
            return float(bowl_loss(torch.from_numpy(np.float32(codes))[None], torch.tensor([row])))

        best = minimize(loss, np.zeros(SIZE), bounds=[(-1, 1)] * SIZE, method="Nelder-Mead",
                        options={"maxiter": 20_000, "maxfev": 20_000, "adaptive": True, "fatol": 1e-6})
        assert float(bowl_loss(found[row : row + 1], torch.tensor([row]))) <= best.fun * 1.001


def test_a_hundred_gradients_do_what_adam_needs_a_thousand_for() -> None:
    def banana(codes: Tensor, rows: Tensor) -> Tensor:
        return ((codes[:, 1:] - codes[:, :-1].square()).square() * 100 + (1 - codes[:, :-1]).square()).sum(1)

    start = torch.full((1, 5), -0.5)
    found, _ = descend(banana, start, 100, 100, 0.0)
    codes = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([codes], 0.02)
    for _ in range(1000):
        optimizer.zero_grad()
        banana(codes, torch.zeros(1)).sum().backward()
        optimizer.step()
    ours, theirs = (float(banana(values.detach(), torch.zeros(1))) for values in (found, codes))
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

    def loss(codes: Tensor, rows: Tensor) -> Tensor:
        asked.append(len(rows))
        return bowl_loss(codes, rows)

    together, steps = descend(loss, start, 200, 5, 0.01)
    assert steps.unique().numel() > 1
    assert len(asked) == int(steps.max()) < 200
    assert sum(asked) == int(steps.sum())
    for row in range(COUNT):
        def itself(codes: Tensor, _: Tensor, row: int = row) -> Tensor:
            return bowl_loss(codes, torch.tensor([row]))

        alone, _ = descend(itself, start[row : row + 1], 200, 5, 0.01)
        assert (alone[0] == together[row]).all()
